//! A question to every event loop.

use super::{Audience, By, Findings, Happening, Load};
use crate::completion::Settled;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Happenings that a survey gives, the newest: as many as a person looks through.
const HAPPENINGS_MAX: usize = 200;

/// What every loop is asked, and what they found so far.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) asking: Asking,
    findings: Mutex<Findings>,
}

/// What every loop is asked.
#[derive(Debug)]
pub(crate) enum Asking {
    /// What happened.
    Happenings(By),
    /// Who gets messages of this topic.
    Audience(Box<str>),
    /// What waits for clients.
    Load,
}

impl Survey {
    /// What happened to whoever this is about, besides what is `found` already.
    pub(crate) fn happenings(by: By, found: Vec<Happening>) -> Self {
        let findings = Findings { happenings: found, ..Findings::default() };
        Self { asking: Asking::Happenings(by), findings: Mutex::new(findings) }
    }

    pub(crate) fn audience(topic: &str) -> Self {
        Self { asking: Asking::Audience(topic.into()), findings: Mutex::default() }
    }

    pub(crate) fn load() -> Self {
        Self { asking: Asking::Load, findings: Mutex::default() }
    }

    pub(crate) fn add_load(&self, load: Load) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        let all = &mut findings.load;
        all.inflight += load.inflight;
        all.queued += load.queued;
        all.outbox_bytes += load.outbox_bytes;
        all.blocked += load.blocked;
    }

    /// Adds what a loop found.
    pub(crate) fn add(&self, happenings: Vec<Happening>, audience: Audience) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.happenings.extend(happenings);
        let all = &mut findings.audience;
        all.receivers.extend(audience.receivers);
        all.receivers_total += audience.receivers_total;
        all.groups.extend(audience.groups);
        all.near.extend(audience.near);
        all.is_cut |= audience.is_cut;
    }

    fn take(&self) -> Findings {
        let mut findings = std::mem::take(&mut *self.findings.lock().unwrap_or_else(PoisonError::into_inner));
        findings.happenings.sort_by_key(|happening| happening.until_ms);
        let older = findings.happenings.len().saturating_sub(HAPPENINGS_MAX);
        findings.happenings.drain(..older);
        findings.audience.receivers.sort_by(|one, other| one.client_id.cmp(&other.client_id));
        findings
    }
}

/// Resolves with what all event loops found.
#[must_use = "nothing is known before this resolves"]
#[derive(Debug)]
pub struct Surveyed {
    settled: Settled,
    survey: Arc<Survey>,
}

impl Surveyed {
    pub(crate) fn new(settled: Settled, survey: Arc<Survey>) -> Self {
        Self { settled, survey }
    }
}

impl Future for Surveyed {
    type Output = Findings;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Findings> {
        match Pin::new(&mut self.settled).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(self.survey.take()),
        }
    }
}
