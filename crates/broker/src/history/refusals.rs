//! Who did not get in: written by the accepting thread, read by the API.

use super::record::{BOUNDS_KNOWN, BOUNDS_STRANGERS};
use super::{By, Cause, Happening, Record, Subject, What, kept};
use crate::clock::now_ms;
use crate::handshake::Refusal;
use crate::over_http::WebCaller;
use crate::tallies::ThreadTallies;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The accepting thread's record. Behind a lock, which nobody takes who moves messages; it is held for a look only.
#[derive(Debug)]
pub(crate) struct Refusals(Mutex<Records>);

#[derive(Debug)]
struct Records {
    /// Of clients with a registered certificate.
    known: Record,
    /// Of all others: anybody can make them up.
    strangers: Record,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(Records {
            known: Record::new(BOUNDS_KNOWN),
            strangers: Record::new(BOUNDS_STRANGERS),
        }))
    }
}

impl Refusals {
    /// A connection was refused; the thread that did counts it. `is_known`: its certificate is registered.
    pub(crate) fn note(&self, peer: SocketAddr, refusal: &Refusal, is_known: bool, tallies: &ThreadTallies) {
        let cause = match &refusal.cause {
            Cause::NotActive if !is_known => Cause::NotRegistered,
            other => other.clone(),
        };
        tallies.refuse(&cause);
        if cause == Cause::Silent {
            // A health check; not even the log mentions it.
            return;
        }
        let subject = match (&refusal.client_id, refusal.certificate_id) {
            (Some(client_id), _) => Subject::Client(kept(client_id).into()),
            (None, Some(certificate_id)) => Subject::Certificate(certificate_id),
            (None, None) => Subject::Address(peer.ip()),
        };
        let client_id =
            if let Subject::Client(client_id) = &subject { Some(client_id.clone()) } else { None };
        let principal = refusal.certificate_id.map(|id| id.to_string().into());
        let what = What::Refused { cause, reason: kept(&refusal.reason) };
        self.write(is_known, subject, Happening::now(client_id, principal, Some(peer), what));
    }

    /// Somebody did not get in over HTTP; gives the cause as it stands in the record.
    pub(crate) fn note_over_http(
        &self,
        caller: WebCaller,
        is_known: bool,
        cause: Cause,
        reason: &str,
        tallies: &ThreadTallies,
    ) -> Cause {
        let cause = if cause == Cause::NotActive && !is_known { Cause::NotRegistered } else { cause };
        tallies.refuse(&cause);
        let principal = caller.certificate_id.map(|id| id.to_string().into());
        let what = What::Refused { cause: cause.clone(), reason: kept(reason) };
        self.write_over_http(caller, is_known, Happening::now(None, principal, Some(caller.peer), what));
        cause
    }

    /// Something happened to somebody who never says a client id.
    pub(crate) fn write_over_http(&self, caller: WebCaller, is_known: bool, happening: Happening) {
        let subject = match caller.certificate_id {
            Some(certificate_id) => Subject::Certificate(certificate_id),
            None => Subject::Address(caller.peer.ip()),
        };
        self.write(is_known, subject, happening);
    }

    /// A connection was closed unseen.
    pub(crate) fn turned_away(&self, peer: SocketAddr, cause: Cause) {
        let reason = match cause {
            Cause::Busy => "too many connections of this address are open without a finished CONNECT",
            _ => "every connection that the limit of open files allows is in use",
        };
        let what = What::Refused { cause, reason: reason.into() };
        self.write(false, Subject::Address(peer.ip()), Happening::now(None, None, Some(peer), what));
    }

    /// What happened to whoever called itself so, oldest first.
    pub(crate) fn of_client(&self, client_id: &str) -> Vec<Happening> {
        let subject = Subject::Client(client_id.into());
        let records = self.lock();
        let mut found: Vec<_> =
            records.known.of(&subject).chain(records.strangers.of(&subject)).cloned().collect();
        found.sort_by_key(|happening| happening.until_ms);
        found
    }

    /// What happened to whoever this is about.
    pub(crate) fn matching(&self, by: &By) -> Vec<Happening> {
        let records = self.lock();
        let all = records.known.all().chain(records.strangers.all());
        all.filter(|happening| by.is_about(happening)).cloned().collect()
    }

    fn write(&self, is_known: bool, subject: Subject, happening: Happening) {
        let mut records = self.lock();
        let record = if is_known { &mut records.known } else { &mut records.strangers };
        record.note(subject, happening);
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Happening {
    /// Something that happens at this moment.
    pub(crate) fn now(
        client_id: Option<std::sync::Arc<str>>,
        principal: Option<Box<str>>,
        source: Option<SocketAddr>,
        what: What,
    ) -> Self {
        let at_ms = now_ms();
        Self { at_ms, until_ms: at_ms, count: 1, client_id, principal, source, what }
    }
}
