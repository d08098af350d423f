//! What has to be done now and then while the server runs.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use broker::Broker;

use crate::failure::{Context as _, Outcome};
use crate::wall_clock;

use super::Stop;
use super::parts::Parts;
use super::steady_clock::SteadyClock;

/// How often: expired log events wait about so long for their removal, and a certificate has 30 days.
const PAUSE: Duration = Duration::from_secs(60 * 60);

/// A thread that removes expired log events and renews the server certificates.
pub(super) struct Upkeep {
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Upkeep {
    /// Starts it.
    pub(super) fn start(parts: &Parts, broker: &Arc<Broker>) -> Outcome<Self> {
        let stop = Stop::default();
        let (told, logs, authority, broker) =
            (stop.clone(), Arc::clone(&parts.logs), Arc::clone(&parts.authority), Arc::clone(broker));
        let run = move || {
            let mut clock = SteadyClock::watch(Instant::now(), wall_clock::now_ms());
            while !told.wait_for(PAUSE) {
                let now_ms = wall_clock::now_ms();
                match clock.look(Instant::now(), now_ms) {
                    Ok(()) => logs.enforce_retention(now_ms),
                    Err(jump_ms) => tracing::warn!(target: "eyot", jump_ms,
                        "the clock has jumped: expired log events are removed when it has been steady for an hour"),
                }
                renew(&authority, &broker);
            }
        };
        let thread = std::thread::Builder::new()
            .name("upkeep".to_owned())
            .spawn(run)
            .context(|| "cannot start a thread".to_owned())?;
        Ok(Self { stop, thread })
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.stop.now();
        if self.thread.join().is_err() {
            tracing::error!(target: "eyot", "the upkeep thread had panicked");
        }
    }
}

fn renew(authority: &pki::Authority, broker: &Broker) {
    match authority.renew_if_due(SystemTime::now()) {
        Ok(None) => {}
        Ok(Some(identities)) => match broker.use_identities(&identities) {
            Ok(()) => tracing::info!(target: "eyot", "renewed the server certificates"),
            Err(error) => {
                tracing::error!(target: "eyot", %error, "the renewed server certificates cannot be used")
            }
        },
        Err(error) => tracing::error!(target: "eyot", %error, "the server certificates cannot be renewed"),
    }
}
