//! What a policy can allow: the data plane's actions.

use crate::pattern::glob_ignore_case;
use std::fmt;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// An action of the data plane. [AWS iot-policy-actions]
        ///
        /// Policies may name other actions too (`iot:CreateThing`); they concern no device and match none of these.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As policies write it, such as `iot:Publish`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("iot:", stringify!($name)),)*
                }
            }
        }
    };
}

actions! {
    /// Connect as a client id.
    Connect,
    /// Publish to a topic.
    Publish,
    /// Publish a retained message; asked for besides `Publish`.
    RetainPublish,
    /// Be given a message of a topic; asked for each delivery.
    Receive,
    /// Subscribe to a topic filter.
    Subscribe,
    /// Read one retained message over HTTP.
    GetRetainedMessage,
    /// List retained messages over HTTP.
    ListRetainedMessages,
    /// Read a shadow over HTTP.
    GetThingShadow,
    /// Change a shadow over HTTP.
    UpdateThingShadow,
    /// Delete a shadow over HTTP.
    DeleteThingShadow,
    /// List a thing's named shadows over HTTP.
    ListNamedShadowsForThing,
    /// Read a job execution over HTTP.
    DescribeJobExecution,
    /// List pending job executions over HTTP.
    GetPendingJobExecutions,
    /// Change a job execution over HTTP.
    UpdateJobExecution,
    /// Start the next job execution over HTTP.
    StartNextPendingJobExecution,
    /// Start a command execution.
    StartCommandExecution,
    /// Ask for temporary credentials.
    AssumeRoleWithCertificate,
    /// Hang up a client.
    DeleteConnection,
    /// Look at a client's connection.
    GetConnection,
    /// List a client's subscriptions.
    ListSubscriptions,
    /// Send a message to one client.
    SendDirectMessage,
}

impl Action {
    /// The action of this name, in either case, with the `iot:` before it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some of the actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ActionSet(u32);

impl ActionSet {
    /// Adds the actions that a policy's `Action` element names, which may have wildcards.
    pub(crate) fn insert_matching(&mut self, pattern: &str) {
        for &action in Action::ALL {
            // [AWS IAM JSON policy elements: Action] "the prefix and the action name are case insensitive".
            if glob_ignore_case(pattern, action.name()) {
                self.0 |= 1 << action as u32;
            }
        }
    }

    pub(crate) fn complement(self) -> Self {
        let all = (1u32 << Action::ALL.len()) - 1;
        Self(!self.0 & all)
    }

    pub(crate) fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u32) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(patterns: &[&str]) -> ActionSet {
        let mut set = ActionSet::default();
        patterns.iter().for_each(|pattern| set.insert_matching(pattern));
        set
    }

    #[test]
    fn names_match_in_any_case_and_with_wildcards() {
        assert!(set(&["IOT:publish"]).contains(Action::Publish));
        assert!(!set(&["iot:Publish"]).contains(Action::RetainPublish));
        assert!(set(&["iot:*Publish"]).contains(Action::RetainPublish));
        assert!(set(&["*"]).contains(Action::SendDirectMessage));
        assert!(set(&["iot:?onnect"]).contains(Action::Connect));
        assert_eq!(set(&["s3:*", "iot:CreateThing"]), ActionSet::default());
    }

    #[test]
    fn the_complement_is_everything_else() {
        let others = set(&["iot:Connect"]).complement();
        assert!(!others.contains(Action::Connect));
        assert!(Action::ALL.iter().skip(1).all(|&action| others.contains(action)));
    }

    #[test]
    fn parse_is_the_inverse_of_name() {
        for &action in Action::ALL {
            assert_eq!(Action::parse(action.name()), Some(action));
        }
        assert_eq!(Action::parse("Publish"), None);
    }
}
