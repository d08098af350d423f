//! The tests that do not pass, and why.

use super::{Limits, Version};

/// The suite asks for something that AWS does not do, or that a server would have to be set up for.
struct Miss {
    version: Version,
    test: &'static str,
    under: &'static [Limits],
    why: &'static str,
}

const EVERY: &[Limits] = &[Limits::Aws, Limits::Relaxed];

const MISSES: [Miss; 5] = [
    Miss {
        version: Version::V5,
        test: "test_subscribe_failure",
        under: EVERY,
        why: "the filter is refused with 0x8F, Topic Filter invalid [AWS mqtt5-reason-codes]; the test knows 0x80 alone",
    },
    Miss {
        version: Version::V5,
        test: "test_subscribe_identifiers",
        under: EVERY,
        why: "subscription identifiers are refused with 0xA1 [AWS mqtt]",
    },
    Miss {
        version: Version::V5,
        test: "test_server_keep_alive",
        under: EVERY,
        why: "the test is for a server whose keep-alive is set to 60 s; ours tells the client the 120 s that it asked for",
    },
    Miss {
        version: Version::V5,
        test: "test_server_topic_alias",
        under: EVERY,
        why: "the server may set aliases, and the test wants it to; ours sets none [MQTT5 3.1.2.11.5]",
    },
    Miss {
        version: Version::V5,
        test: "test_flow_control2",
        under: &[Limits::Aws],
        why: "the test leaves QoS 2 exchanges open; with QoS 1 each message is acknowledged as it comes, and no maximum is exceeded",
    },
];

/// Why this test does not pass, if it is known not to.
pub(super) fn why(version: Version, test: &str, limits: Limits) -> Option<&'static str> {
    let miss = MISSES
        .iter()
        .find(|miss| (miss.version, miss.test) == (version, test) && miss.under.contains(&limits))?;
    Some(miss.why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_a_row_for_each_and_no_other() {
        let page = include_str!("../../../docs/conformance.md");
        let (_, table) = page.split_once("## What is missed").expect("the chapter");
        let rows: Vec<_> = table.lines().filter_map(|line| line.strip_prefix("| `")).collect();
        let documented = rows.iter().filter_map(|row| row.split_once("` | "));
        let expected =
            MISSES.iter().map(|miss| (miss.test, if miss.under == EVERY { "both" } else { "`aws`" }));
        let documented = documented.map(|(test, rest)| (test, rest.split(" |").next().unwrap_or(rest)));
        assert!(documented.eq(expected), "{rows:?}");
    }
}
