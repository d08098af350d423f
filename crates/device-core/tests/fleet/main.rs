//! A fleet of devices against a server, in virtual time, under seeds: networks that go and come, a server that
//! restarts, connections that break in the middle of packets, acknowledgements that are lost, late, or out of order.
//!
//! `EYOT_SEEDS=1000` runs 40 seeds of 1,000 devices each; the short run has two.
#![expect(clippy::panic, reason = "the simulated server has no better way to fail its test")]

mod board;
mod chance;
mod server;
mod world;

use board::Board;
use chance::Chance;
use device_core::{INFLIGHT_MAX, Phase, READINGS_MAX};
use world::{Event, Faults, World};

const DEVICES: usize = 1_000;

/// One seed of this test costs as much as 25 of those that `EYOT_SEEDS` is made for.
const SEEDS_PER_FLEET: u64 = 25;

fn seeds() -> u64 {
    let seeds = std::env::var("EYOT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(50_u64);
    seeds.div_ceil(SEEDS_PER_FLEET)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("device-{number}")).collect()
}

/// Devices of which a third have an RSA key, with which a handshake takes a Pico W 7 s.
fn fleet(names: &[String], interval_ms: u64, seed: u64) -> Vec<Board<'_>> {
    let mut chance = Chance::new(seed);
    let board = |name| {
        let handshake_ms = if chance.one_in(3) { 7_000 } else { 700 };
        Board::new(name, interval_ms, chance.below(u64::MAX), handshake_ms)
    };
    names.iter().map(String::as_str).map(board).collect()
}

#[test]
fn nothing_is_lost_and_everything_comes_in_order_while_outages_are_shorter_than_the_ring() {
    for seed in 0..seeds() {
        let names = names(DEVICES);
        let faults = Faults { acks_lost_one_in: Some(300), resets_one_in: Some(200), answer_ms_max: 500 };
        let mut world = World::new(fleet(&names, 20_000, seed), faults, seed);
        let trouble_ends_ms = plan_trouble(&mut world, seed);
        world.run_until(trouble_ends_ms);
        world.faults = Faults::NONE;
        // The longest back-off, a handshake, and the backlog.
        let end_ms = trouble_ends_ms + 200_000;
        world.run_until(end_ms);

        let (mut readings, mut repeated, mut connections) = (0, 0, 0);
        for (board, desk) in world.boards.iter().zip(&world.desks) {
            assert_eq!(board.device.phase(), Phase::Connected, "seed {seed}");
            assert_eq!(board.device.dropped(), 0, "seed {seed}");
            // The last one may be on its way.
            let measured = board.measured_at_ms.len();
            assert!(
                desk.received.len() + 1 >= measured,
                "seed {seed}: {} of {measured}",
                desk.received.len()
            );
            assert!(desk.received.iter().copied().eq(0..desk.received.len()), "seed {seed}");
            assert_eq!(board.device.delivered() as usize + board.device.waiting(), measured, "seed {seed}");
            readings += measured;
            repeated += desk.repeated;
            connections += board.knocked_at_ms.len();
        }
        println!(
            "seed {seed}: {DEVICES} devices, {} min: {readings} readings, none lost, {repeated} came twice; {connections} attempts to connect",
            end_ms / 60_000
        );
    }
}

/// Outages of the server and of the networks of 20 buildings, for half an hour.
fn plan_trouble(world: &mut World<'_>, seed: u64) -> u64 {
    const END_MS: u64 = 1_800_000;
    let mut chance = Chance::new(!seed);
    for part in 0..3 {
        let began_ms = 100_000 + part * 500_000 + chance.below(100_000);
        let lasts_ms =
            if chance.one_in(2) { chance.between(1_000, 15_000) } else { chance.between(60_000, 300_000) };
        world.plan(began_ms, Event::ServerDown);
        world.plan(began_ms + lasts_ms, Event::ServerUp);
    }
    let building = DEVICES / 20;
    for first in (0..DEVICES).step_by(building) {
        let boards = || first..first + building;
        for part in 0..2 {
            let began_ms = 60_000 + part * 800_000 + chance.below(200_000);
            let noticed_ms = began_ms + chance.below(60_000);
            world.plan(began_ms, Event::NetworkSilent { boards: boards() });
            world.plan(noticed_ms, Event::NetworkDown { boards: boards() });
            world.plan(noticed_ms + chance.below(400_000), Event::NetworkUp { boards: boards() });
        }
    }
    let usual = world.faults;
    let slow_ms = 400_000 + chance.below(800_000);
    // Longer than a device waits.
    world.plan(slow_ms, Event::SetFaults(Faults { answer_ms_max: 14_000, ..usual }));
    world.plan(slow_ms + 200_000, Event::SetFaults(usual));
    END_MS
}

#[test]
fn an_outage_longer_than_the_ring_drops_exactly_the_oldest() {
    const INTERVAL_MS: u64 = 1_000;
    const BEGINS_MS: u64 = 60_000;
    let rows = (0..=seeds()).flat_map(|seed| [(seed, 480_000, false), (seed, 700_000, true)]);
    for (seed, outage_ms, drops) in rows {
        let names = names(100);
        let mut world = World::new(fleet(&names, INTERVAL_MS, seed), Faults::NONE, seed);
        world.plan(BEGINS_MS, Event::NetworkDown { boards: 0..100 });
        world.plan(BEGINS_MS + outage_ms, Event::NetworkUp { boards: 0..100 });
        world.run_until(BEGINS_MS + outage_ms - 1);
        let before: Vec<_> = world.desks.iter().map(|desk| desk.received.len()).collect();
        let waiting: Vec<_> = world.boards.iter().map(|board| board.device.waiting()).collect();
        world.run_until(BEGINS_MS + outage_ms + 60_000);

        let mut dropped = 0;
        for (number, (board, desk)) in world.boards.iter().zip(&world.desks).enumerate() {
            let device = &board.device;
            let missing: Vec<usize> = (0..board.measured_at_ms.len() - device.waiting())
                .filter(|number| desk.received.binary_search(number).is_err())
                .collect();
            // Those right behind the last that came before the outage, without a gap.
            let first = before[number];
            assert!(missing.iter().copied().eq(first..first + missing.len()), "{missing:?} after {first}");
            let measured = board.measured_at_ms.len();
            assert_eq!(device.dropped() as usize, measured - device.delivered() as usize - device.waiting());
            assert_eq!(device.delivered() as usize, board.acknowledged.len());
            // One whose acknowledgement the outage swallowed is dropped, too, and was received.
            let swallowed = device.dropped() as usize - missing.len();
            assert!(swallowed <= INFLIGHT_MAX && (drops || swallowed == 0), "{swallowed}");
            assert_eq!(device.dropped() > 0, drops);
            assert!(!drops || waiting[number] == READINGS_MAX);
            dropped += device.dropped();
        }
        println!(
            "seed {seed}: an outage of {} readings and a ring of {READINGS_MAX}: 100 devices dropped {dropped}",
            outage_ms / INTERVAL_MS
        );
    }
}

/// Who was away, and what the server has to bear in the busiest second after it is back.
#[test]
fn a_server_or_network_that_comes_back_is_not_stormed() {
    use Event::{NetworkDown, NetworkUp, ServerDown, ServerUp};
    let boards = || 0..DEVICES;
    let server = |outage_ms| busiest(outage_ms, ServerDown, ServerUp);
    let network =
        |outage_ms| busiest(outage_ms, NetworkDown { boards: boards() }, NetworkUp { boards: boards() });
    // A device waits 1 to 4 s after its first failure, so a blink of the server and a network that all devices share
    // bring everybody back evenly over 3 s: a third of the fleet in each, and some for chance. After a minute they are
    // spread over a minute, after minutes over two, the last ceiling of the back-off.
    let rows = [
        ("server", 1_000, server(1_000), [400, 60]),
        ("server", 10_000, server(10_000), [150, 30]),
        ("server", 60_000, server(60_000), [80, 20]),
        ("server", 600_000, server(600_000), [40, 10]),
        ("network", 600_000, network(600_000), [400, 60]),
    ];
    for (who, away_ms, busiest, bounds) in rows {
        let away_s = away_ms / 1_000;
        println!(
            "{who} away for {away_s} s: {} of {DEVICES} devices knock in the busiest second after it (bound {}), {} in its busiest tenth (bound {})",
            busiest[0], bounds[0], busiest[1], bounds[1]
        );
        assert!(busiest[0] <= bounds[0] && busiest[1] <= bounds[1]);
    }
}

/// How many devices knock in the busiest second, and in the busiest tenth of a second, after an outage: the worst of
/// all seeds.
fn busiest(outage_ms: u64, down: Event, up: Event) -> [usize; 2] {
    let seeds = (0..=seeds()).map(|seed| busiest_of(seed, outage_ms, down.clone(), up.clone()));
    seeds.reduce(|one, other| [one[0].max(other[0]), one[1].max(other[1])]).expect("at least one seed")
}

fn busiest_of(seed: u64, outage_ms: u64, down: Event, up: Event) -> [usize; 2] {
    const BEGINS_MS: u64 = 100_000;
    let names = names(DEVICES);
    let mut world = World::new(fleet(&names, 60_000, seed), Faults::NONE, seed);
    let back_ms = BEGINS_MS + outage_ms;
    world.plan(BEGINS_MS, down);
    world.plan(back_ms, up);
    let end_ms = back_ms + 180_000;
    world.run_until(end_ms);
    for board in &world.boards {
        assert_eq!(board.device.phase(), Phase::Connected);
        let pauses = board.knocked_at_ms.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(pauses.min() >= Some(1_000), "one attempt per second and device [AWS General Reference]");
    }
    [1_000, 100].map(|window_ms| world.knocks_max(back_ms..end_ms, window_ms))
}
