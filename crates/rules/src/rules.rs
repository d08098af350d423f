//! The rules and their changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use logs::Logs;
use mqtt_session::Limits;
use mqtt_wire::topic::{MatchRules, filter_matches};
use services::IotLog;
use store::{Keyspace, Position, Store, Transaction};

use crate::rule::Surroundings;
use crate::{LoadError, Rule, RuleDefinition, RuleError, RuleSet};

/// Where rules are stored: name to record.
const RULES: Keyspace = Keyspace("rules");

/// Longest name of a rule. [AWS iot CreateTopicRule] `ruleName`: 1 to 128.
pub const RULE_NAME_BYTES_MAX: usize = 128;

/// Most actions of a rule, the error action not counted. [AWS iot-limits] "Maximum number of actions per rule".
pub const RULE_ACTIONS_MAX: usize = 10;

/// A change that is in effect and on its way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a change must be committed before anybody is told that it was made"]
pub struct Done<T> {
    /// What the operation gives.
    pub value: T,
    /// When what `value` says is durable; `None` when it has been since the rules were loaded.
    pub position: Option<Position>,
}

/// Which rules [`Rules::list`] gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListQuery<'q> {
    /// Only rules behind this name: the last one of the page before.
    pub after: Option<&'q str>,
    /// At most so many.
    pub limit: usize,
    /// Only rules with this FROM filter, or one that matches this topic.
    pub topic: Option<&'q str>,
    /// Only disabled rules, or only enabled ones.
    pub disabled: Option<bool>,
}

/// Some of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// `after` of the next page; `None` on the last one.
    pub next: Option<String>,
}

/// The rules of one server. Changes take effect at once; the broker's loops learn of them through
/// [`RuleSet::version`].
#[derive(Debug)]
pub struct Rules {
    store: Store,
    surroundings: Arc<Surroundings>,
    /// Where the last change ends: what `current` says is durable when that is. Held while a change is checked,
    /// appended and put into `current`, so that the journal has the same order.
    changing: Mutex<Position>,
    current: RwLock<Arc<RuleSet>>,
    /// The store lost something (a full disk): `current` may have what the disk does not.
    stale: Arc<AtomicBool>,
}

impl Rules {
    /// Loads and compiles all stored rules.
    ///
    /// # Errors
    /// [`LoadError`] names the rule that cannot be loaded: it is not skipped, because a rule that silently does not
    /// run loses data.
    pub fn load(store: &Store, logs: Arc<Logs>, account_id: &str, limits: Limits) -> Result<Self, LoadError> {
        let match_rules = limits.match_rules;
        let surroundings = Arc::new(Surroundings {
            logs,
            account_id: account_id.to_owned(),
            limits,
            iot_log: OnceLock::new(),
        });
        let rules = stored(store, &surroundings)?;
        let current = RwLock::new(Arc::new(RuleSet {
            version: 1,
            rules,
            match_rules,
            surroundings: Some(Arc::clone(&surroundings)),
        }));
        let stale = Arc::new(AtomicBool::new(false));
        let lost = stale.clone();
        store.on_commit(Box::new(move |committed| {
            if committed.is_err() {
                lost.store(true, Ordering::Release);
            }
        }));
        Ok(Self { store: store.clone(), surroundings, changing: Mutex::default(), current, stale })
    }

    /// Logs there what happens to messages, from now on. Called once, before messages come.
    pub fn use_iot_log(&self, log: Arc<IotLog>) {
        // A second log would be a mistake in the server's start; the first stays.
        let _ = self.surroundings.iot_log.set(log);
    }

    /// The rules as they are now.
    pub fn snapshot(&self) -> Arc<RuleSet> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// CreateTopicRule.
    ///
    /// # Errors
    /// [`RuleError::AlreadyExists`] even for an equal rule, and everything that is wrong with the definition.
    pub fn create(&self, name: &str, definition: RuleDefinition, now_ms: i64) -> Result<Done<()>, RuleError> {
        check_name(name)?;
        self.change(|rules| {
            if rules.contains_key(name) {
                return Err(RuleError::AlreadyExists { name: name.to_owned() });
            }
            Rule::compile(name, definition, now_ms, self.surroundings.clone()).map(Some)
        })
    }

    /// Whether [`create`](Self::create) would take it: for a caller that changes something else before.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn check_new(&self, name: &str, definition: &RuleDefinition) -> Result<(), RuleError> {
        check_name(name)?;
        drop(self.begin_change()?);
        if self.snapshot().rules.contains_key(name) {
            return Err(RuleError::AlreadyExists { name: name.to_owned() });
        }
        Rule::compile(name, definition.clone(), 0, self.surroundings.clone()).map(drop)
    }

    /// ReplaceTopicRule: a new definition; name, creation time and counters stay.
    ///
    /// # Errors
    /// [`RuleError::NoSuchRule`], and everything that is wrong with the definition.
    pub fn replace(&self, name: &str, definition: RuleDefinition) -> Result<Done<()>, RuleError> {
        self.change(|rules| {
            let previous = known(rules, name)?;
            let created_at_ms = previous.created_at_ms();
            let mut rule = Rule::compile(name, definition, created_at_ms, self.surroundings.clone())?;
            rule.count_on(previous);
            Ok(Some(rule))
        })
    }

    /// DeleteTopicRule.
    ///
    /// # Errors
    /// [`RuleError::NoSuchRule`]; what a client is told then is the API's decision.
    pub fn delete(&self, name: &str) -> Result<Done<()>, RuleError> {
        let mut last = self.begin_change()?;
        let before = self.snapshot();
        known(&before.rules, name)?;
        let mut transaction = Transaction::new();
        transaction.delete(RULES, name);
        let position = self.store.append(transaction)?;
        *last = position;
        let mut rules = before.rules.clone();
        rules.remove(name);
        self.publish(&before, rules);
        Ok(Done { value: (), position: Some(position) })
    }

    /// EnableTopicRule.
    ///
    /// # Errors
    /// [`RuleError::NoSuchRule`].
    pub fn enable(&self, name: &str) -> Result<Done<()>, RuleError> {
        self.set_disabled(name, false)
    }

    /// DisableTopicRule.
    ///
    /// # Errors
    /// [`RuleError::NoSuchRule`].
    pub fn disable(&self, name: &str) -> Result<Done<()>, RuleError> {
        self.set_disabled(name, true)
    }

    /// GetTopicRule.
    ///
    /// # Errors
    /// [`RuleError::NoSuchRule`].
    pub fn rule(&self, name: &str) -> Result<Arc<Rule>, RuleError> {
        known(&self.snapshot().rules, name).cloned()
    }

    /// ListTopicRules, by name.
    pub fn list(&self, query: &ListQuery<'_>) -> Page<Arc<Rule>> {
        let snapshot = self.snapshot();
        let wanted = |rule: &&Arc<Rule>| {
            let behind = query.after.is_none_or(|after| rule.name() > after);
            let state = query.disabled.is_none_or(|disabled| disabled != rule.is_enabled());
            behind && state && query.topic.is_none_or(|topic| covers(rule, topic, snapshot.match_rules))
        };
        let mut items: Vec<_> =
            snapshot.iter().filter(wanted).take(query.limit.saturating_add(1)).cloned().collect();
        let more = items.len() > query.limit;
        items.truncate(query.limit);
        let next = if more { items.last().map(|rule| rule.name().to_owned()) } else { None };
        Page { items, next }
    }

    fn set_disabled(&self, name: &str, disabled: bool) -> Result<Done<()>, RuleError> {
        self.change(|rules| {
            let previous = known(rules, name)?;
            if previous.is_enabled() != disabled {
                return Ok(None);
            }
            let definition = RuleDefinition { rule_disabled: disabled, ..previous.definition().clone() };
            let created_at_ms = previous.created_at_ms();
            let mut rule = Rule::compile(name, definition, created_at_ms, self.surroundings.clone())?;
            rule.count_on(previous);
            Ok(Some(rule))
        })
    }

    /// Makes, stores and publishes one rule; `None`: it is already as wanted.
    fn change(
        &self,
        make: impl FnOnce(&BTreeMap<String, Arc<Rule>>) -> Result<Option<Rule>, RuleError>,
    ) -> Result<Done<()>, RuleError> {
        let mut last = self.begin_change()?;
        let before = self.snapshot();
        let Some(rule) = make(&before.rules)? else {
            // The change that made it so may still be on its way.
            return Ok(Done { value: (), position: (*last != Position::NONE).then_some(*last) });
        };
        let mut transaction = Transaction::new();
        transaction.put(RULES, rule.name(), rule.to_record());
        let position = self.store.append(transaction)?;
        *last = position;
        let mut rules = before.rules.clone();
        rules.insert(rule.name().to_owned(), Arc::new(rule));
        self.publish(&before, rules);
        Ok(Done { value: (), position: Some(position) })
    }

    /// Locks out other changes. After the store has lost some, the rules are first read again, so that a change that
    /// was answered with an error is not built upon.
    fn begin_change(&self) -> Result<MutexGuard<'_, Position>, RuleError> {
        let mut last = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stale.swap(false, Ordering::AcqRel) {
            let reread = self.reread(*last);
            if reread.is_err() {
                self.stale.store(true, Ordering::Release);
            }
            reread?;
            *last = Position::NONE;
        }
        Ok(last)
    }

    fn reread(&self, last: Position) -> Result<(), RuleError> {
        // The last change may have come after the loss: it must not be taken for lost because it is not written yet.
        let settled = self.store.when_committed(last).wait().unwrap_or_else(|_| self.store.committed());
        self.store.wait_in_state(settled)?;
        let mut rules =
            stored(&self.store, &self.surroundings).map_err(|error| RuleError::Reread(error.to_string()))?;
        let before = self.snapshot();
        for (name, rule) in &mut rules {
            if let (Some(rule), Some(previous)) = (Arc::get_mut(rule), before.rules.get(name)) {
                rule.count_on(previous);
            }
        }
        self.publish(&before, rules);
        Ok(())
    }

    fn publish(&self, before: &RuleSet, rules: BTreeMap<String, Arc<Rule>>) {
        let set = Arc::new(RuleSet {
            version: before.version + 1,
            rules,
            match_rules: before.match_rules,
            surroundings: Some(Arc::clone(&self.surroundings)),
        });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = set;
    }
}

/// All stored rules, compiled.
fn stored(store: &Store, surroundings: &Arc<Surroundings>) -> Result<BTreeMap<String, Arc<Rule>>, LoadError> {
    store
        .scan(RULES, b"")?
        .iter()
        .map(|(key, value)| Rule::from_record(key, value, surroundings.clone()))
        .map(|rule| rule.map(|rule| (rule.name().to_owned(), Arc::new(rule))))
        .collect()
}

fn known<'r>(rules: &'r BTreeMap<String, Arc<Rule>>, name: &str) -> Result<&'r Arc<Rule>, RuleError> {
    rules.get(name).ok_or_else(|| RuleError::NoSuchRule { name: name.to_owned() })
}

/// [AWS iot CreateTopicRule] `^[a-zA-Z0-9_]+$`
fn check_name(name: &str) -> Result<(), RuleError> {
    let allowed = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if allowed && (1..=RULE_NAME_BYTES_MAX).contains(&name.len()) {
        return Ok(());
    }
    let shown = name.chars().take(RULE_NAME_BYTES_MAX).collect();
    Err(RuleError::InvalidName { name: shown })
}

/// Whether `topic`, a topic or a filter, is the rule's: filters are compared as text, topics are matched.
fn covers(rule: &Rule, topic: &str, match_rules: MatchRules) -> bool {
    let is_filter = topic.contains(['+', '#']);
    rule.topic_filter()
        .is_some_and(|filter| filter == topic || !is_filter && filter_matches(filter, topic, match_rules))
}
