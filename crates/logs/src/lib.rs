//! Log groups and streams: segments, append, scan, retention.
