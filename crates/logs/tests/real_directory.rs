//! The log store on the operating system's files, as `serve` opens it.
use logs::{FilterQuery, InputEvent, Logs, NewGroup};
use store::{Store, StoreOptions, Transaction};

const NOW: i64 = 1_700_000_000_000;

#[test]
fn events_survive_restarts_of_a_real_directory() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let (store, logs) = Logs::start(Store::open(StoreOptions::directory(dir.path())).unwrap()).unwrap();
        if round == 0 {
            logs.create_group(NewGroup { name: "g".to_owned(), ..NewGroup::default() }, NOW).unwrap();
            logs.create_stream("g", "put", NOW).unwrap();
        }
        let events = vec![InputEvent { timestamp_ms: NOW + round, message: format!("put {round}") }];
        logs.put_events("g", "put", events, NOW).wait().unwrap();
        let mut transaction = Transaction::new();
        logs.rule_event("g", "rule", NOW + round, &format!("rule {round}"), NOW, &mut transaction).unwrap();
        let position = store.commit(transaction).wait().unwrap();
        store.wait_applied(position).unwrap();
        let query = FilterQuery { group: "g", now_ms: NOW, ..FilterQuery::default() };
        assert_eq!(logs.filter(&query).unwrap().items.len(), 2 * (usize::try_from(round).unwrap() + 1));
        store.close().unwrap();
        logs.close();
        assert!(dir.path().join("logs/CLEAN").exists(), "an orderly end says so");
    }
}
