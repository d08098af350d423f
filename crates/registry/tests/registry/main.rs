//! The registry from outside: one file per noun, and what a restart leaves.
#![expect(clippy::unwrap_used, reason = "tests may, also outside of test functions")]

mod certificates;
mod full_disk;
mod policies;
mod restart;
mod support;
mod things;
