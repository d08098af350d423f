//! The machine's clock and limits.

use crate::serve::FILES_OF_SERVER;
use crate::wall_clock;

use super::Finding;

/// This program did not exist before: 2025-01-01. A clock behind it has lost its battery.
const CLOCK_MS_MIN: i64 = 1_735_689_600_000;

/// Our certificates end in 2049, and no signature is dated after.
const CLOCK_MS_MAX: i64 = 2_493_072_000_000;

/// Fewer are too few for more than a handful of devices.
const FILES_MIN: u64 = 1024;

/// Certificates and signatures are dated, so the clock has to be about right.
pub(super) fn clock() -> Finding {
    judge_clock(wall_clock::now_ms())
}

fn judge_clock(now_ms: i64) -> Finding {
    const SUBJECT: &str = "clock";
    let shown = wall_clock::to_text(now_ms);
    if (CLOCK_MS_MIN..CLOCK_MS_MAX).contains(&now_ms) {
        Finding::good(SUBJECT, shown)
    } else {
        Finding::bad(
            SUBJECT,
            format!("{shown} cannot be right: certificates would be refused"),
            "set it: timedatectl set-ntp true",
        )
    }
}

/// How many files, and so connections, a process may have open. Only where the system says so in /proc.
pub(super) fn open_files() -> Option<Finding> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    hard_limit(&limits).map(judge_open_files)
}

/// The server raises its soft limit to this.
fn hard_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().nth(1)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn judge_open_files(limit: u64) -> Finding {
    const SUBJECT: &str = "open files";
    if limit == u64::MAX {
        return Finding::good(SUBJECT, "unlimited");
    }
    let found = format!("{limit} at most, room for about {} devices", limit.saturating_sub(FILES_OF_SERVER));
    if limit >= FILES_MIN {
        Finding::good(SUBJECT, found)
    } else {
        Finding::bad(SUBJECT, found, "ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_another_age_is_wrong() {
        for (now_ms, good) in [(0, false), (1_790_000_000_000, true), (4_000_000_000_000, false)] {
            assert_eq!(judge_clock(now_ms).remedy.is_none(), good, "{now_ms}");
        }
    }

    #[test]
    fn the_hard_limit_counts() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            512              4096             files\n";
        assert_eq!(hard_limit(limits), Some(4096));
        assert!(judge_open_files(512).remedy.is_some());
        assert!(judge_open_files(65_536).remedy.is_none());
        assert_eq!(hard_limit("Max open files  1024  unlimited files"), Some(u64::MAX));
    }
}
