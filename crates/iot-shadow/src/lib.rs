//! Device shadow documents: merge, delta, version, metadata.
