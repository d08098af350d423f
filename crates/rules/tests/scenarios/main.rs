//! Rules over a real store and real logs, in memory.

mod common;
mod definitions;
mod execution;
mod logging;
