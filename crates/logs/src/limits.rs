//! The log store's limits and why they are what they are.

/// What an event counts beside its message. [AWS CloudWatch Logs, PutLogEvents]
pub const EVENT_OVERHEAD_BYTES: u64 = 26;

/// Largest batch of PutLogEvents, overhead included. [AWS CloudWatch Logs, PutLogEvents]
pub const BATCH_BYTES_MAX: u64 = 1_048_576;

/// Most events of one batch. [AWS CloudWatch Logs, PutLogEvents]
pub const BATCH_EVENTS_MAX: usize = 10_000;

/// Largest message. An event of one batch cannot be larger than the batch. [AWS CloudWatch Logs, PutLogEvents]
pub const MESSAGE_BYTES_MAX: u64 = BATCH_BYTES_MAX - EVENT_OVERHEAD_BYTES;

/// How far in the future an event may lie: 2 hours. [AWS CloudWatch Logs, PutLogEvents]
pub const FUTURE_MS_MAX: i64 = 2 * 3_600_000;

/// How old an event may be when it arrives: 14 days. [AWS CloudWatch Logs, PutLogEvents]
pub const AGE_MS_MAX: i64 = 14 * 86_400_000;

/// How much time the accepted events of a batch may span: 24 hours. [AWS CloudWatch Logs, PutLogEvents]
pub const BATCH_SPAN_MS_MAX: i64 = 86_400_000;

/// Most events of one page. [AWS CloudWatch Logs, GetLogEvents and FilterLogEvents]
pub const PAGE_EVENTS_MAX: usize = 10_000;

/// Most bytes of one page, counted as for batches; a larger single event is a page alone.
pub const PAGE_BYTES_MAX: u64 = 1_048_576;

/// How many bytes one page of a filter looks through before it hands out what it found and a token.
///
/// Bounds how long a request for a rare term runs: about a tenth of a second.
pub const PAGE_SCANNED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Items of one page of groups or streams when the caller does not say. [AWS CloudWatch Logs, Describe*]
pub const DESCRIBE_ITEMS_DEFAULT: usize = 50;

/// Most tags of a group. [AWS CloudWatch Logs, TagResource]
pub const TAGS_MAX: usize = 50;

/// Most streams that FilterLogEvents takes by name. [AWS CloudWatch Logs, FilterLogEvents]
pub const FILTER_STREAMS_MAX: usize = 100;

/// Longest filter pattern, in characters. [AWS CloudWatch Logs, FilterLogEvents]
pub const PATTERN_CHARS_MAX: usize = 1_024;

/// Longest name of a group or stream, in characters. [AWS CloudWatch Logs, quotas]
pub const NAME_CHARS_MAX: usize = 512;

/// Most groups. [AWS CloudWatch Logs, quotas]
pub const GROUPS_MAX: usize = 1_000_000;

/// Days after which events may expire. [AWS CloudWatch Logs, PutRetentionPolicy]
pub const RETENTION_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// Size at which a segment is sealed, in bytes.
///
/// The unsealed one is indexed in memory (about 80 bytes per event) and read again at start; a sealed one costs a
/// file of at most this size that retention removes as a whole.
pub const SEGMENT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Size of a block of a sealed segment, in bytes: what one read takes. A larger single event is a block alone.
pub const BLOCK_BYTES: usize = 64 * 1024;

/// How many bytes of PutLogEvents may wait for the disk.
///
/// All of it is in memory. A caller that meets it gets an error that SDKs retry.
pub const PUT_BACKLOG_BYTES_MAX: u64 = 32 * 1024 * 1024;
