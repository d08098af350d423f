//! Why a client, or the API, is told to be slower.

use crate::limits::Limits;
use std::fmt;

/// Declares the quotas: each with the setting that holds its number, and what there was too much of.
macro_rules! quotas {
    ($($(#[doc = $doc:literal])+ $variant:ident: $setting:ident, $number:expr, $sentence:literal;)+) => {
        /// A limit on how much may happen in a second, or be at once, whose excess is dropped, refused or put off.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Quota {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Quota {
            /// Every quota, in the order of their declaration.
            pub const ALL: [Self; [$(stringify!($variant)),+].len()] = [$(Self::$variant),+];

            /// The name of its setting, which metrics and the log carry.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($setting),)+ }
            }

            /// What these limits allow.
            pub fn exceeded(self, limits: &Limits) -> Throttled {
                let number: fn(&Limits) -> u64 = match self { $(Self::$variant => $number,)+ };
                Throttled { quota: self, max: number(limits) }
            }

            const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

quotas! {
    /// PUBLISH packets of one connection, in and out together.
    ConnectionPublishes: connection_publishes_per_s, |limits| limits.connection_publishes_per_s.count().into(),
        "messages in a second on one connection, in and out together";
    /// Bytes of one connection.
    ConnectionBytes: connection_bytes_per_s, |limits| limits.connection_bytes_per_s.count().into(),
        "bytes in a second on one connection";
    /// CONNECT packets of one client id.
    ClientConnects: client_connects_per_s, |limits| limits.client_connects_per_s.count().into(),
        "connections in a second with one client id";
    /// CONNECT packets of all clients.
    AccountConnects: account_connects_per_s, |limits| limits.account_connects_per_s.count().into(),
        "connections in a second of all clients";
    /// Connections at once.
    AccountConnections: account_connections_max, |limits| limits.account_connections_max as u64,
        "clients connected at once";
    /// Messages that come in from clients and the API.
    AccountPublishesIn: account_publishes_in_per_s, |limits| limits.account_publishes_in_per_s.count().into(),
        "messages in a second from all clients";
    /// Messages that go out to clients.
    AccountPublishesOut: account_publishes_out_per_s, |limits| limits.account_publishes_out_per_s.count().into(),
        "messages in a second to all clients";
    /// Subscriptions at once.
    AccountSubscriptions: account_subscriptions_max, |limits| limits.account_subscriptions_max as u64,
        "subscriptions of all clients";
    /// Filters in SUBSCRIBE packets of all clients.
    AccountSubscribes: account_subscribes_per_s, |limits| limits.account_subscribes_per_s.count().into(),
        "subscriptions in a second of all clients";
    /// Messages that are queued for clients that are away.
    QueuedMessages: queued_messages_per_s, |limits| limits.queued_messages_per_s.count().into(),
        "messages in a second queued for clients that are away";
    /// Messages with RETAIN 1.
    AccountRetained: account_retained_per_s, |limits| limits.account_retained_per_s.count().into(),
        "messages in a second that are to be retained";
    /// Messages with RETAIN 1 to one topic.
    TopicRetained: topic_retained_per_s, |limits| limits.topic_retained_per_s.count().into(),
        "messages in a second that are to be retained for one topic";
}

impl Quota {
    /// Its place in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A quota that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Which one.
    pub quota: Quota,
    /// What it allows.
    pub max: u64,
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { quota, max } = self;
        write!(f, "throttled: more than {max} {} (limit {})", quota.sentence(), quota.name())
    }
}

impl std::error::Error for Throttled {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Setting;

    #[test]
    fn every_quota_is_a_setting_and_knows_its_place() {
        for (place, quota) in Quota::ALL.into_iter().enumerate() {
            assert_eq!(quota.index(), place);
            let setting = Setting::named(quota.name()).unwrap();
            let allowed = quota.exceeded(&Limits::aws()).max.to_string();
            assert_eq!(setting.value(&Limits::aws()), allowed, "{}", quota.name());
        }
    }

    #[test]
    fn it_says_what_there_was_too_much_of_and_which_setting_it_is() {
        assert_eq!(
            Quota::ConnectionPublishes.exceeded(&Limits::aws()).to_string(),
            "throttled: more than 100 messages in a second on one connection, in and out together (limit \
             connection_publishes_per_s)"
        );
    }
}
