//! A whole broker with real parts, devices with real certificates, and clients over real TLS.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]

mod client;
mod gate;
mod log;

pub(crate) use client::{Client, Options, Received, TlsSetup, qos1, qos2, received};
pub(crate) use gate::Gate;
pub(crate) use log::{logged, never_logged};

use broker::{Broker, BrokerConfig, Parts};
use mqtt_session::{Limits, Rate};
use pki::{Authority, CertificateId, ServerNames};
use registry::{CertificateStatus, Change, Done, Identity, Registry, ThingConfig};
use rules::{RuleDefinition, Rules};
use serde_json::{Value, json};
use services::{IotLog, Retained, RetainedLimits};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::{Store, StoreOptions};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";

/// Long enough for a loaded machine, and never reached by a test that passes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// One authority for all tests of a binary: RSA keys take a while to make.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    Authority::in_memory(&ServerNames::loopback(), SystemTime::now()).expect("an authority")
});

/// A server without its API.
pub(crate) struct Cloud {
    pub(crate) broker: Broker,
    pub(crate) registry: Arc<Registry>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) logs: Arc<logs::Logs>,
    pub(crate) retained: Arc<Retained>,
    pub(crate) store: Store,
    dir: Option<tempfile::TempDir>,
}

/// How a cloud differs from the usual one.
pub(crate) struct Setup {
    pub(crate) loops: usize,
    pub(crate) limits: Limits,
    pub(crate) connect_deadline: Duration,
    pub(crate) connections_max: usize,
    pub(crate) unfinished_max: usize,
    pub(crate) unfinished_per_address_max: usize,
    pub(crate) store: Option<StoreOptions>,
    pub(crate) retained_limits: RetainedLimits,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            loops: 2,
            limits: brisk(),
            connect_deadline: PATIENCE,
            connections_max: usize::MAX,
            unfinished_max: 2_048,
            unfinished_per_address_max: 256,
            store: None,
            retained_limits: RetainedLimits::default(),
        }
    }
}

/// AWS's limits, but those on how often something may happen in a second: tests do not wait for a second to pass.
pub(crate) fn brisk() -> Limits {
    Limits {
        connection_publishes_per_s: Rate::UNLIMITED,
        connection_bytes_per_s: Rate::UNLIMITED,
        client_connects_per_s: Rate::UNLIMITED,
        topic_retained_per_s: Rate::UNLIMITED,
        ..Limits::aws()
    }
}

/// A certificate with its key, and the client id that goes with it.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key_pem: String,
    pub(crate) id: CertificateId,
}

impl Cloud {
    pub(crate) fn start() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        log::install();
        let (options, dir) = match setup.store {
            Some(options) => (options, None),
            None => {
                let dir = tempfile::tempdir().expect("a directory");
                (StoreOptions::directory(dir.path()), Some(dir))
            }
        };
        let (store, logs) = logs::Logs::start(Store::open(options).expect("a store")).expect("a log store");
        let identity = Identity { region: REGION.to_owned(), account_id: ACCOUNT.to_owned() };
        let registry = Arc::new(Registry::load(&store, identity).expect("a registry"));
        let rules =
            Arc::new(Rules::load(&store, Arc::clone(&logs), ACCOUNT, setup.limits.clone()).expect("rules"));
        let config = BrokerConfig {
            loops: setup.loops,
            limits: setup.limits,
            connect_deadline: setup.connect_deadline,
            connections_max: setup.connections_max,
            unfinished_max: setup.unfinished_max,
            unfinished_per_address_max: setup.unfinished_per_address_max,
            ..BrokerConfig::new(([127, 0, 0, 1], 0).into())
        };
        let retained = Arc::new(Retained::load(&store, setup.retained_limits).expect("retained messages"));
        let iot_log = Arc::new(IotLog::start(&store, Arc::clone(&logs), ACCOUNT).expect("a log of events"));
        rules.use_iot_log(Arc::clone(&iot_log));
        let parts = Parts {
            registry: Arc::clone(&registry),
            rules: Arc::clone(&rules),
            retained: Arc::clone(&retained),
            store: store.clone(),
            iot_log,
            identities: AUTHORITY.server_identities(),
        };
        let broker = Broker::start(config, parts).expect("a broker");
        Self { broker, registry, rules, logs, retained, store, dir }
    }

    /// A device with an active certificate of its own, its thing, and this policy.
    pub(crate) fn device(&self, policy: &str) -> Device {
        let device = self.device_without_policy();
        self.attach(&device, policy);
        device
    }

    pub(crate) fn device_without_policy(&self) -> Device {
        let device = Device::issue();
        let pem = pki::to_pem("CERTIFICATE", &device.certificate);
        let status = Some(CertificateStatus::Active);
        self.kept(self.registry.register_certificate_without_ca(&pem, status, now_ms()));
        self.kept(self.registry.create_thing(&device.name, ThingConfig::default(), now_ms()));
        let arn = self.certificate_arn(&device);
        self.kept(self.registry.attach_thing_principal(&device.name, &arn, None));
        device
    }

    /// Creates a policy and attaches it; gives its name.
    pub(crate) fn attach(&self, device: &Device, policy: &str) -> String {
        let name = unique("policy");
        self.kept(self.registry.create_policy(&name, policy, vec![], now_ms()));
        let change = self.kept(self.registry.attach_policy(&name, &self.certificate_arn(device)));
        self.broker.settle(&change).wait();
        name
    }

    /// Waits until a change is durable: some of these journals hold back very little.
    fn kept<T>(&self, done: Result<Done<T>, registry::Error>) -> Change {
        let done = done.expect("a change that can be made");
        if let Some(position) = done.position {
            self.store.when_committed(position).wait().expect("durable");
        }
        done.change
    }

    pub(crate) fn detach(&self, device: &Device, policy: &str) {
        let done = self.registry.detach_policy(policy, &self.certificate_arn(device)).expect("detached");
        self.broker.settle(&done.change).wait();
    }

    pub(crate) fn deactivate(&self, device: &Device) {
        let done = self.registry.update_certificate(&device.id, CertificateStatus::Inactive, now_ms());
        self.broker.settle(&done.expect("updated").change).wait();
    }

    pub(crate) fn certificate_arn(&self, device: &Device) -> String {
        self.registry.identity().certificate_arn(&device.id)
    }

    pub(crate) fn rule(&self, name: &str, sql: &str, actions: Vec<Value>) {
        let sql_version = Some("2016-03-23".to_owned());
        self.define(
            name,
            RuleDefinition {
                sql: sql.to_owned(),
                actions,
                aws_iot_sql_version: sql_version,
                ..RuleDefinition::default()
            },
        );
    }

    pub(crate) fn define(&self, name: &str, definition: RuleDefinition) {
        let _ = self.rules.create(name, definition, now_ms()).expect("a new rule");
        self.broker.rules_changed().wait();
    }

    pub(crate) fn log_group(&self, name: &str) {
        let group = logs::NewGroup { name: name.to_owned(), ..logs::NewGroup::default() };
        self.logs.create_group(group, now_ms()).expect("a new group");
    }

    /// The messages of a log group, earliest first.
    pub(crate) fn log_events(&self, group: &str) -> Vec<String> {
        self.store.wait_applied(self.store.committed()).expect("a working store");
        let (mut messages, mut next_token) = (Vec::new(), None::<String>);
        loop {
            let next_token_ref = next_token.as_deref();
            let query = logs::FilterQuery {
                group,
                now_ms: now_ms(),
                next_token: next_token_ref,
                ..logs::FilterQuery::default()
            };
            let page = self.logs.filter(&query).expect("a group that exists");
            messages.extend(page.items.into_iter().map(|event| event.message));
            next_token = page.next_token;
            if next_token.is_none() {
                return messages;
            }
        }
    }

    /// Connects and gets CONNACK.
    pub(crate) fn connect(&self, device: &Device) -> Client {
        Client::connect(self, device, &Options::default())
    }
}

/// The action of the post's rule.
pub(crate) fn to_log_group(group: &str) -> Value {
    json!({"cloudwatchLogs": {"logGroupName": group, "roleArn": "arn:aws:iam::123456789012:role/r"}})
}

pub(crate) fn to_topic(topic: &str) -> Value {
    json!({"republish": {"topic": topic, "qos": 1, "roleArn": "arn:aws:iam::123456789012:role/r"}})
}

impl Device {
    /// P-256, signed by our authority and registered nowhere.
    pub(crate) fn issue() -> Self {
        let name = unique("device");
        let request = pki::new_p256_request(&name).expect("a key");
        let issued =
            AUTHORITY.issue_from_csr(&request.request_pem, SystemTime::now()).expect("a certificate");
        Self { name, certificate: issued.der, key_pem: request.private_key_pem, id: issued.id }
    }

    /// RSA-2048, as CreateKeysAndCertificate makes them.
    pub(crate) fn issue_rsa() -> Self {
        let issued = AUTHORITY.issue_from_new_key(SystemTime::now()).expect("a certificate");
        let keys = issued.keys.expect("new keys");
        Self { name: unique("device"), certificate: issued.der, key_pem: keys.private_key_pem, id: issued.id }
    }
}

impl Cloud {
    /// Registers a certificate that was made elsewhere, active, allowed everything.
    pub(crate) fn adopt(&self, device: &Device) {
        let pem = pki::to_pem("CERTIFICATE", &device.certificate);
        let status = Some(CertificateStatus::Active);
        drop(
            self.registry.register_certificate_without_ca(&pem, status, now_ms()).expect("a new certificate"),
        );
        self.attach(device, ALLOW_ALL);
    }
}

pub(crate) fn ca_der() -> Vec<u8> {
    AUTHORITY.ca_der().to_vec()
}

pub(crate) fn ca_pem() -> String {
    AUTHORITY.ca_pem()
}

/// A name that no other test has: the log is shared.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{what}-{:04}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

/// Waits, without sleeping, until something that other threads change is as wanted.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it did not become so");
        std::thread::yield_now();
    }
}
