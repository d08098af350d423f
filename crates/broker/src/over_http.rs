//! Who did not get in over HTTP, written down as for those who come with MQTT: for `eyot explain`, metrics and
//! `AWSIotLogsV2`.
//!
//! Others lead those conversations, and say here how they ended.

use crate::broker::Broker;
use crate::history::{Blame, Cause, Happening, What, kept};
use crate::iot_log;
use iot_policy::Action;
use pki::CertificateId;
use services::{EventType, Transport};
use std::net::SocketAddr;

/// Somebody at the other end of HTTP, HTTPS or an upgrade to WebSocket, who never says a client id.
#[derive(Debug, Clone, Copy)]
pub struct WebCaller {
    /// Where it is.
    pub peer: SocketAddr,
    /// The certificate that it has shown.
    pub certificate_id: Option<CertificateId>,
}

/// What the caller wanted, as the log names it.
#[derive(Debug, Clone, Copy)]
pub struct WebRequest<'r> {
    /// `Connect` for a handshake and for a WebSocket; `None`: AWS has no kind for it, and it is not logged.
    pub kind: Option<EventType>,
    /// The protocol that it would have spoken.
    pub protocol: Transport,
    /// The topic that it was about.
    pub topic: Option<&'r str>,
}

impl Broker {
    /// A handshake failed, or whoever asked for something may not ask at all.
    pub fn refused_over_http(&self, caller: WebCaller, request: WebRequest<'_>, cause: Cause, reason: &str) {
        let shared = self.shared();
        let is_known = self.is_known(caller);
        let cause = shared.refusals.note_over_http(caller, is_known, cause, reason, &shared.acceptor_tallies);
        iot_log::refused_over_http(
            &shared.iot_log,
            caller,
            request,
            is_known,
            iot_log::reason_of(&cause),
            reason,
        );
    }

    /// Policies do not allow a request; the reason is a sentence.
    pub fn denied_over_http(
        &self,
        caller: WebCaller,
        request: WebRequest<'_>,
        action: Action,
        resource: &str,
        reason: &str,
        blame: Box<Blame>,
    ) {
        let shared = self.shared();
        let is_known = self.is_known(caller);
        let what = What::Denied { action, resource: kept(resource), reason: kept(reason), blame };
        let principal = caller.certificate_id.map(|id| id.to_string().into());
        let happening = Happening::now(None, principal, Some(caller.peer), what);
        shared.refusals.write_over_http(caller, is_known, happening);
        let details = kept(&format!("{action} is not allowed: {reason}"));
        shared.peers[0].counters.denied.increment();
        let failure = iot_log::AUTHORIZATION_FAILURE;
        iot_log::refused_over_http(&shared.iot_log, caller, request, is_known, failure, &details);
    }

    fn is_known(&self, caller: WebCaller) -> bool {
        let registry = &self.shared().registry;
        caller.certificate_id.is_some_and(|id| registry.principal(&id).is_some())
    }
}
