//! Every limit of parsing and evaluating, with its reason.

/// Longest SQL statement, in bytes.
///
/// AWS's own limit for a rule's SQL ([AWS iot-limits] "rules engine", 256 KB).
pub const SQL_BYTES_MAX: usize = 256 * 1024;

/// How deep expressions may nest.
///
/// Parser, evaluator and printer recurse once per level: this bounds their stack to a few hundred KiB. Rules that
/// people write stay below ten; chains such as `a OR b OR c` do not nest.
pub const EXPRESSION_DEPTH_MAX: usize = 64;

/// How deep a JSON payload may nest.
///
/// The reader recurses once per level. AWS documents none for rules; 128 is what common JSON readers allow.
pub const JSON_DEPTH_MAX: usize = 128;

/// Work that one evaluation may do: one step per expression node, plus one per [`BYTES_PER_STEP`] bytes it copies
/// or makes.
///
/// A rule of 256 KiB could otherwise turn one message of 128 KiB into gigabytes. At this limit an evaluation makes
/// at most 16 MiB, a hundred times the largest message.
pub const STEPS_MAX: u64 = 1 << 20;

/// Bytes of text that count as one step; see [`STEPS_MAX`].
pub const BYTES_PER_STEP: u64 = 16;

/// Keys up to which an object is searched key by key; beyond, it keeps an index.
///
/// Searching a few short keys is cheaper than hashing one; without an index, a message with 10,000 keys would cost
/// 10,000² comparisons.
pub(crate) const OBJECT_KEYS_UNINDEXED_MAX: usize = 32;

/// Names in one dotted path or alias.
///
/// Printing and nesting of aliases recurse once per name.
pub const PATH_NAMES_MAX: usize = 64;
