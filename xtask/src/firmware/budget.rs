//! `firmware/budgets.toml`: what the firmware may take, and who is over.

use std::fmt;

use pico_image::{Board, MemoryUse};
use serde::Deserialize;

use super::measure::Measured;
use crate::shell::{self, Failure, Outcome};

/// What the file says. Bytes and milliseconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budgets {
    image_bytes: u64,
    static_ram_bytes: u64,
    heap_bytes: u64,
    stack_bytes: u64,
    handshake_ms: Handshake,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Handshake {
    p256: u64,
    rsa: u64,
}

/// One measure beside its budget.
pub(super) struct Finding {
    pub(super) what: String,
    measured: u64,
    budget: u64,
    unit: &'static str,
}

impl Finding {
    pub(super) fn is_over(&self) -> bool {
        self.measured > self.budget
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, measured, budget, unit } = self;
        let verdict = if self.is_over() { "OVER" } else { "" };
        write!(f, "{what:<42} {measured:>9} {unit:<2} {budget:>9} {unit:<2} {verdict}")
    }
}

/// The budgets in the repository.
pub(super) fn read() -> Outcome<Budgets> {
    let path = shell::root().join("firmware/budgets.toml");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| Failure::new(format!("`{}`: {error}", path.display())))
}

impl Budgets {
    pub(super) fn judge_sizes(&self, board: Board, memory: MemoryUse) -> [Finding; 2] {
        [
            bytes(format!("{}: image", board.name()), memory.flash_bytes as u64, self.image_bytes),
            bytes(
                format!("{}: static RAM", board.name()),
                memory.static_ram_bytes as u64,
                self.static_ram_bytes,
            ),
        ]
    }

    pub(super) fn judge_measured(&self, measured: &[Measured]) -> Vec<Finding> {
        let findings = measured.iter().flat_map(|Measured { key, heap_bytes, stack_bytes, handshake_ms }| {
            let budget = if *key == "rsa" { self.handshake_ms.rsa } else { self.handshake_ms.p256 };
            [
                bytes(format!("pico-w, {key} key: heap at most"), *heap_bytes, self.heap_bytes),
                bytes(format!("pico-w, {key} key: stack at most"), *stack_bytes, self.stack_bytes),
                Finding {
                    what: format!("pico-w, {key} key: handshake, emulated time"),
                    measured: *handshake_ms,
                    budget,
                    unit: "ms",
                },
            ]
        });
        findings.collect()
    }
}

fn bytes(what: String, measured: u64, budget: u64) -> Finding {
    Finding { what, measured, budget, unit: "B" }
}
