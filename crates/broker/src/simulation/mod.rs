//! Sessions over lossy links, reconnects, restarts, killed processes and power cuts: a simulation that is the same in
//! every run of a seed.
//!
//! The real event loops, sessions, groups, policies and the real store on a disk that forgets, in one thread: what comes
//! next, a loop's turn, a group commit, bytes that arrive, a link that breaks, is decided by the seed, and so is the
//! time. Clients are models of correct ones. Checked throughout: what is in `knowledge`.
//!
//! - `line`, `server`: the broker without sockets and threads. `world`: what happens next, and how the server ends.
//! - `network`: bytes on their way. `client`, `behaviour`: what clients know and do. `knowledge`: what must hold.
//! - `trace`: what happened.
//!
//! `EYOT_SEEDS=1000` runs more seeds than the short run's 200, `EYOT_SEED=17` one of them, with everything that
//! happened.

mod behaviour;
mod client;
mod knowledge;
mod line;
mod network;
mod scenarios;
mod server;
mod trace;
mod world;

pub(crate) use line::Line;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use world::{Counts, World};

/// Every so many seeds one is run twice.
const TWICE_EVERY: u64 = 10;

/// In so many seeds everything happens that can.
const ENOUGH: u64 = 100;

/// Lines of the trace that are printed when a seed fails without having been asked for.
const LAST_LINES: usize = 60;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|number| number.parse().ok())
}

/// Runs a seed; gives what was counted, and the digest of everything that happened.
fn run(seed: u64, prints_all: bool) -> (Counts, u64) {
    let mut world = World::new(seed);
    let done = catch_unwind(AssertUnwindSafe(|| world.run()));
    let lines = world.trace.lines();
    if prints_all || done.is_err() {
        let shown = if prints_all { lines.len() } else { LAST_LINES };
        let hidden = lines.len().saturating_sub(shown);
        println!("seed {seed}, all but the first {hidden} lines:");
        lines[hidden..].iter().for_each(|line| println!("{line}"));
    }
    if let Err(panic) = done {
        println!("seed {seed} failed; it alone, with everything that happened: EYOT_SEED={seed}");
        // Its parts may be in any state: their drops are not what failed.
        std::mem::forget(world);
        resume_unwind(panic);
    }
    (world.counts, world.trace.digest)
}

#[test]
fn what_is_acknowledged_arrives_and_nothing_reaches_the_unauthorised() {
    if let Some(seed) = number("EYOT_SEED") {
        let (counts, digest) = run(seed, true);
        println!("seed {seed}, digest {digest:016x}: {counts}");
        return;
    }
    let seeds = number("EYOT_SEEDS").unwrap_or(200);
    let (mut total, mut digests) = (Counts::default(), 0_u64);
    for seed in 0..seeds {
        let (counts, digest) = run(seed, false);
        if seed % TWICE_EVERY == 0 {
            assert_eq!(run(seed, false).1, digest, "seed {seed} is not the same twice");
        }
        total.add(&counts);
        digests = digests.rotate_left(1) ^ digest;
    }
    println!("seeds 0..{seeds}, digest {digests:016x}: {total}");
    assert!(seeds < ENOUGH || total.is_complete(), "something never happened");
}
