//! The lock, the journal and the epoch: what every operation goes through.

use crate::change::{Change, Done};
use crate::edit::{self, Edit};
use crate::principal::{Principal, PrincipalCache};
use crate::state::State;
use crate::{CertificateId, Error, Identity, LoadError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use store::{Position, Store, Transaction};

/// Things, certificates, policies and their attachments of one server. Share it by `Arc`.
#[derive(Debug)]
pub struct Registry {
    store: Store,
    identity: Identity,
    arn_prefix: Arc<str>,
    state: RwLock<State>,
    /// Rises with every change that can alter a decision; while it rises the state is locked.
    epoch: AtomicU64,
    /// Locked after the state, never before.
    principals: Mutex<PrincipalCache>,
    /// The last append: what a reader sees is durable when this is.
    last_position: AtomicU64,
    /// The store lost appends (its disk was full): memory has more than the disk and must be loaded anew.
    lost: Arc<AtomicBool>,
}

/// What an operation wants: nothing of it has happened yet.
pub(crate) struct Plan<T> {
    pub(crate) value: T,
    pub(crate) edits: Vec<Edit>,
    pub(crate) change: Change,
}

impl<T> Plan<T> {
    /// Everything is as wanted.
    pub(crate) fn nothing(value: T) -> Self {
        Self { value, edits: Vec::new(), change: Change::none() }
    }

    /// Steps that no live connection need learn.
    pub(crate) fn quiet(value: T, edits: Vec<Edit>) -> Self {
        Self { value, edits, change: Change::none() }
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Plan<U> {
        Plan { value: change(self.value), edits: self.edits, change: self.change }
    }
}

impl Registry {
    /// Loads everything that is stored.
    ///
    /// # Errors
    /// [`LoadError`] names the record that cannot be read. None is skipped: a policy that is not there may have been
    /// a Deny.
    pub fn load(store: &Store, identity: Identity) -> Result<Self, LoadError> {
        let lost = Arc::new(AtomicBool::new(false));
        let flag = lost.clone();
        store.on_commit(Box::new(move |news| {
            if news.is_err() {
                flag.store(true, Ordering::Release);
            }
        }));
        Ok(Self {
            state: RwLock::new(edit::load(store)?),
            store: store.clone(),
            arn_prefix: identity.arn_prefix().into(),
            identity,
            epoch: AtomicU64::new(1),
            principals: Mutex::default(),
            last_position: AtomicU64::new(Position::NONE.0),
            lost,
        })
    }

    /// Which account and region this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A number that rises with every change that can alter a decision. Who kept a [`Principal`] from before looks it
    /// up anew.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What a certificate may be and do now; `None` when it is not registered.
    ///
    /// Cheap while somebody holds the result of an earlier call and nothing about it has changed.
    pub fn principal(&self, id: &CertificateId) -> Option<Arc<Principal>> {
        let state = self.read();
        let mut cache = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(principal) = cache.get(id) {
            return Some(principal);
        }
        let principal = Arc::new(Principal::of(&state, id, &self.arn_prefix)?);
        // Under the state's lock: a change that makes it stale comes after, and removes it.
        cache.insert(&principal);
        Some(principal)
    }

    pub(crate) fn arn_prefix(&self) -> &Arc<str> {
        &self.arn_prefix
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        if self.lost.load(Ordering::Acquire) {
            drop(self.write());
        }
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans a change, appends it and applies it, with nothing in between.
    pub(crate) fn change<T>(
        &self,
        plan: impl FnOnce(&State) -> Result<Plan<T>, Error>,
    ) -> Result<Done<T>, Error> {
        let mut state = self.write();
        let Plan { value, edits, change } = plan(&state)?;
        if edits.is_empty() {
            let last = Position(self.last_position.load(Ordering::Acquire));
            return Ok(Done { value, position: (last != Position::NONE).then_some(last), change });
        }
        let mut transaction = Transaction::new();
        edits.iter().for_each(|edit| edit.write(&mut transaction));
        let position = self.store.append(transaction)?;
        self.last_position.store(position.0, Ordering::Release);
        edits.into_iter().for_each(|edit| edit.apply(&mut state));
        if !change.is_none() {
            let mut cache = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
            cache.remove(&change.principals);
            cache.remove(&change.dropped);
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Done { value, position: Some(position), change })
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if self.lost.swap(false, Ordering::AcqRel)
            && let Err(error) = self.reload(&mut state)
        {
            // Tried again with the next operation; until then memory is what it was.
            self.lost.store(true, Ordering::Release);
            tracing::error!(%error, "the registry could not be loaded anew after the disk was full");
        }
        state
    }

    /// Takes back what the store lost: it was never acknowledged, and an operation that finds it as wanted must not
    /// acknowledge it either.
    fn reload(&self, state: &mut State) -> Result<(), LoadError> {
        if self.store.failure().is_some() {
            // Nothing will be appended any more, so nothing will be acknowledged.
            return Ok(());
        }
        let appended = Position(self.last_position.load(Ordering::Acquire));
        let settled = match self.store.when_committed(appended).wait() {
            Ok(position) => position,
            Err(_) => self.store.committed(),
        };
        if self.store.wait_in_state(settled).is_err() {
            return Ok(());
        }
        *state = edit::load(&self.store)?;
        *self.principals.lock().unwrap_or_else(PoisonError::into_inner) = PrincipalCache::default();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        tracing::warn!("the disk was full: changes that were not acknowledged are taken back");
        Ok(())
    }
}
