//! What an action is about.

use std::fmt;

/// The kinds of resources that data plane actions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// A client id: for Connect.
    Client,
    /// A topic: for Publish, RetainPublish, Receive, GetRetainedMessage.
    Topic,
    /// A topic filter: for Subscribe.
    TopicFilter,
    /// A thing, or a thing and a shadow of it: for shadows and jobs over HTTP.
    Thing,
    /// A role alias: for AssumeRoleWithCertificate.
    RoleAlias,
}

impl ResourceKind {
    /// The ARN's part before the name, with the slash.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Client => "client/",
            Self::Topic => "topic/",
            Self::TopicFilter => "topicfilter/",
            Self::Thing => "thing/",
            Self::RoleAlias => "rolealias/",
        }
    }
}

/// What an action is about: by kind and name, so that nobody has to write an ARN for it, or by ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// `client/NAME`, `topic/NAME`… of the account that the [`PolicySet`](crate::PolicySet) is for.
    Named {
        /// Which kind of resource.
        kind: ResourceKind,
        /// Its name: the client id, the topic, the topic filter as the client sent it.
        name: &'a str,
    },
    /// A whole ARN, or `*`.
    Arn(&'a str),
}

impl<'a> Resource<'a> {
    /// A client id.
    pub const fn client(name: &'a str) -> Self {
        Self::Named { kind: ResourceKind::Client, name }
    }

    /// A topic.
    pub const fn topic(name: &'a str) -> Self {
        Self::Named { kind: ResourceKind::Topic, name }
    }

    /// A topic filter.
    pub const fn topic_filter(name: &'a str) -> Self {
        Self::Named { kind: ResourceKind::TopicFilter, name }
    }

    /// A thing (`NAME`) or one of its named shadows (`NAME/SHADOW`).
    pub const fn thing(name: &'a str) -> Self {
        Self::Named { kind: ResourceKind::Thing, name }
    }

    pub(crate) fn subject(self, arn_prefix: &'a str) -> Subject<'a> {
        match self {
            Self::Named { kind, name } => Subject::new([arn_prefix, kind.prefix(), name]),
            Self::Arn(arn) => Subject::new([arn, "", ""]),
        }
    }
}

/// Without the account's part, which the reader knows.
impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named { kind, name } => write!(f, "{}{name}", kind.prefix()),
            Self::Arn(arn) => f.write_str(arn),
        }
    }
}

/// A text in three parts that is matched as if they were one. Ends of parts are ends of characters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    parts: [&'a [u8]; 3],
    len: usize,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(parts: [&'a str; 3]) -> Self {
        let len = parts.iter().map(|part| part.len()).sum();
        Self { parts: parts.map(str::as_bytes), len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether `text` stands at this place.
    pub(crate) fn has_at(&self, mut at: usize, mut text: &[u8]) -> bool {
        for part in self.parts {
            if text.is_empty() {
                return true;
            }
            if at >= part.len() {
                at -= part.len();
                continue;
            }
            let count = text.len().min(part.len() - at);
            if part[at..at + count] != text[..count] {
                return false;
            }
            text = &text[count..];
            at = 0;
        }
        text.is_empty()
    }

    fn byte(&self, mut at: usize) -> Option<u8> {
        for part in self.parts {
            match part.get(at) {
                Some(&byte) => return Some(byte),
                None => at -= part.len(),
            }
        }
        None
    }

    /// Where the character that begins here ends; `None` at the end.
    pub(crate) fn next_char(&self, at: usize) -> Option<usize> {
        self.byte(at)?;
        let mut end = at + 1;
        while self.byte(end).is_some_and(is_continuation) {
            end += 1;
        }
        Some(end)
    }

    /// Where the character that ends here begins; `None` at the start.
    pub(crate) fn previous_char(&self, at: usize) -> Option<usize> {
        let mut start = at.checked_sub(1)?;
        while start > 0 && self.byte(start).is_some_and(is_continuation) {
            start -= 1;
        }
        Some(start)
    }
}

/// UTF-8: a byte that continues a character.
const fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}
