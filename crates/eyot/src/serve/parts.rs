//! What keeps state, opened in the order in which one needs the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use aws_api::Hosts;
use broker::Broker;
use logs::Logs;
use mqtt_session::Limits;
use pki::{Authority, ServerNames};
use registry::{Identity, Registry};
use rules::Rules;
use services::{IotLog, Retained, RetainedLimits, Shadows};
use store::{OpenError, Store, StoreOptions};

use crate::config::Settings;
use crate::failure::{Context as _, Failure, Outcome};

use super::Names;
use super::home::Home;
use super::metrics::Measured;

/// Handles to everything that keeps state.
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) logs: Arc<Logs>,
    pub(super) registry: Arc<Registry>,
    pub(super) rules: Arc<Rules>,
    pub(super) shadows: Arc<Shadows>,
    pub(super) retained: Arc<Retained>,
    pub(super) iot_log: Arc<IotLog>,
    pub(super) authority: Arc<Authority>,
}

impl Parts {
    /// Opens the data directory: its lock first, so that nothing is written into one that another process has.
    pub(super) fn open(settings: &Settings, limits: &Limits, names: &Names, home: &Home) -> Outcome<Self> {
        let options =
            if settings.in_memory { StoreOptions::in_memory() } else { StoreOptions::directory(home.dir()) };
        let opening = Store::open(options).map_err(unopened)?;
        let (store, logs) = Logs::start(opening).map_err(|error| {
            let failure = Failure::new("the log store cannot be opened").because(&error);
            if is_short(&error) { failure.advice(SHORT_ADVICE) } else { failure }
        })?;

        let server_names = ServerNames::new(names.certificate()).map_err(|error| {
            Failure::new("the server certificate cannot be issued")
                .because(&error)
                .advice("correct --advertise")
        })?;
        let ca = home.dir().join("ca");
        let authority = Authority::load_or_create(&ca, &server_names, SystemTime::now())
            .context(|| format!("the certificate authority in `{}` cannot be used", ca.display()))?;

        let identity = Identity { region: settings.region(), account_id: settings.account_id.0.clone() };
        let registry = Registry::load(&store, identity)
            .context(|| "things, certificates and policies cannot be loaded".to_owned())?;
        let rules = Rules::load(&store, Arc::clone(&logs), &settings.account_id.0, limits.clone())
            .context(|| "the rules cannot be loaded".to_owned())?;
        let shadows = Shadows::load(&store).context(|| "the shadows cannot be loaded".to_owned())?;
        let retained_limits = RetainedLimits {
            messages_max: limits.account_retained_max,
            bytes_max: limits.account_retained_bytes_max,
        };
        let retained = Retained::load(&store, retained_limits)
            .context(|| "the retained messages cannot be loaded".to_owned())?;
        let iot_log = IotLog::start(&store, Arc::clone(&logs), &settings.account_id.0)
            .context(|| "the logging options cannot be loaded".to_owned())?;
        let iot_log = Arc::new(iot_log);
        rules.use_iot_log(Arc::clone(&iot_log));
        Ok(Self {
            store,
            logs,
            registry: Arc::new(registry),
            rules: Arc::new(rules),
            shadows: Arc::new(shadows),
            retained: Arc::new(retained),
            iot_log,
            authority: Arc::new(authority),
        })
    }

    /// What the broker works with.
    pub(super) fn for_broker(&self) -> broker::Parts {
        broker::Parts {
            registry: Arc::clone(&self.registry),
            rules: Arc::clone(&self.rules),
            retained: Arc::clone(&self.retained),
            store: self.store.clone(),
            iot_log: Arc::clone(&self.iot_log),
            identities: self.authority.server_identities(),
        }
    }

    /// What the API works with.
    pub(super) fn for_api(
        &self,
        broker: &Arc<Broker>,
        limits: Limits,
        names: &Names,
        bound: SocketAddr,
        advertised: Vec<String>,
    ) -> aws_api::Parts {
        aws_api::Parts {
            registry: Arc::clone(&self.registry),
            rules: Arc::clone(&self.rules),
            logs: Arc::clone(&self.logs),
            shadows: Arc::clone(&self.shadows),
            retained: Arc::clone(&self.retained),
            iot_log: Arc::clone(&self.iot_log),
            broker: Arc::clone(broker),
            authority: Arc::clone(&self.authority),
            store: self.store.clone(),
            limits,
            endpoint: names.endpoint.clone(),
            hosts: Hosts::new(bound, advertised),
            // Devices know us by every name that is in the certificate; a page would have to get past that, too.
            device_hosts: Hosts::new(bound, names.certificate()),
            metrics: self.measured(broker).writer(),
        }
    }

    fn measured(&self, broker: &Arc<Broker>) -> Measured {
        Measured {
            broker: Arc::clone(broker),
            rules: Arc::clone(&self.rules),
            retained: Arc::clone(&self.retained),
            iot_log: Arc::clone(&self.iot_log),
            store: self.store.clone(),
        }
    }

    /// Writes what waits. The store first: it may still bring events to the logs.
    pub(super) fn close(&self) {
        // It writes to the logs, which the store goes on bringing events to.
        self.iot_log.close();
        if let Err(error) = self.store.close() {
            tracing::error!(target: "eyot", %error, "the journal did not close in order; the next start replays it");
        }
        self.logs.close();
    }
}

/// What to do then.
pub(super) const SHORT_ADVICE: &str = "free some disk space, or raise the limit of open files: ulimit -n 65536; each log group with events takes one";

/// Whether the disk is full or too many files are open, somewhere in the reasons.
pub(super) fn is_short(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(store::disk::is_shortage)
}

fn unopened(error: OpenError) -> Failure {
    let advice = match &error {
        OpenError::Locked { .. } => Some(
            "stop that process, or name another directory with --data-dir; commands find a running server by themselves",
        ),
        OpenError::NewerFormat { .. } => Some("use the newer eyot that wrote it"),
        OpenError::OlderFormat { .. } => {
            Some("move it away and provision anew, or use the eyot that wrote it")
        }
        OpenError::Damaged { .. } => Some("restore the directory from a copy; nothing in it was changed"),
        OpenError::State { .. } | OpenError::Io { .. } => None,
    };
    let failure = Failure::new("the data directory cannot be opened").because(&error);
    advice.into_iter().fold(failure, Failure::advice)
}
