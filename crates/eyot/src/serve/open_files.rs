//! How many files the process may have open, and who gets how many.
//!
//! A connection is an open file, and so is every log segment that is written to. When connections may take all of
//! them, a crowd of clients keeps the disk from being written: so each side has its share.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files of the server itself: journal, state, the segments that log groups write to, listeners, threads' queues.
///
/// A log group with events takes one, also at the start: more groups than this need a higher limit.
pub(crate) const FILES_OF_SERVER: u64 = 256;

/// No kernel allows more by default, and macOS refuses more than its own maximum whatever its hard limit says.
const WANTED_MAX: u64 = 1_048_576;

/// What macOS allows every process (`OPEN_MAX`).
const ALWAYS_ALLOWED: u64 = 10_240;

/// Connections of each kind that may be open at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) devices: usize,
    pub(super) api: usize,
}

/// Raises the soft limit as far as the system lets us, and shares out what there is.
pub(super) fn shares() -> Shares {
    share_out(raise())
}

/// The limit that is in force afterwards.
fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(current) = current else { return WANTED_MAX };
    let wanted = maximum.unwrap_or(WANTED_MAX).min(WANTED_MAX);
    for soft in [wanted, wanted.min(ALWAYS_ALLOWED)] {
        if soft > current && setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum }).is_ok() {
            return soft;
        }
    }
    current
}

fn share_out(limit: u64) -> Shares {
    let rest = limit.saturating_sub(FILES_OF_SERVER.min(limit / 2));
    let api = (rest / 4).clamp(1, aws_api::CONNECTIONS_MAX as u64);
    let devices = rest.saturating_sub(api).max(1);
    let count = |share: u64| usize::try_from(share).unwrap_or(usize::MAX);
    Shares { devices: count(devices), api: count(api) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_keeps_its_files_whatever_the_limit() {
        assert_eq!(share_out(1_024), Shares { devices: 576, api: 192 });
        assert_eq!(share_out(1_048_576), Shares { devices: 1_047_296, api: 1_024 });
        assert_eq!(share_out(256), Shares { devices: 96, api: 32 }, "the server's half comes first");
        assert_eq!(share_out(4), Shares { devices: 1, api: 1 });
    }
}
