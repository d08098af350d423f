//! A case and its floor, timed in turn; the median and the quartiles of what was seen.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Pairs of measurements. With 41 the quartiles are values that were measured, and one slow moment moves neither.
const PAIRS: usize = 41;

/// How long one measurement should take: long beside the clock's grain, short beside the machine's moods.
const MEASUREMENT: Duration = Duration::from_millis(20);

/// Columns of [`compare`]'s lines.
pub(crate) const HEAD: &str =
    "case                                       median ns     (quartiles)    floor ns   ratio (quartiles)";

/// Times `case` against `floor` and prints a line: nanoseconds per call, and the ratio pair by pair.
pub(crate) fn compare<A, B>(name: &str, mut case: impl FnMut() -> A, mut floor: impl FnMut() -> B) {
    let case_rounds = rounds(&mut case);
    let floor_rounds = rounds(&mut floor);
    let (mut cases, mut floors, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let case_ns = time(&mut case, case_rounds);
        let floor_ns = time(&mut floor, floor_rounds);
        cases.push(case_ns);
        floors.push(floor_ns);
        ratios.push(case_ns / floor_ns);
    }
    let (case, floor, ratio) = (Quartiles::of(cases), Quartiles::of(floors), Quartiles::of(ratios));
    println!(
        "{name:<42} {:>9.1} ({:>7.1}–{:>7.1}) {:>11.1} {:>7.2} ({:.2}–{:.2})",
        case.median, case.lower, case.upper, floor.median, ratio.median, ratio.lower, ratio.upper
    );
}

/// The middle half of what was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Quartiles {
    lower: f64,
    median: f64,
    upper: f64,
}

impl Quartiles {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values[(values.len() - 1) * part / 4];
        Self { lower: at(1), median: at(2), upper: at(3) }
    }
}

/// How many calls one measurement takes.
fn rounds<T>(call: &mut impl FnMut() -> T) -> u32 {
    let mut rounds = 1_u32;
    loop {
        let begun = Instant::now();
        for _ in 0..rounds {
            black_box(call());
        }
        let taken = begun.elapsed();
        if taken >= MEASUREMENT / 4 {
            let scale = MEASUREMENT.as_secs_f64() / taken.as_secs_f64();
            return (f64::from(rounds) * scale).ceil().max(1.0) as u32;
        }
        rounds = rounds.saturating_mul(4);
    }
}

fn time<T>(call: &mut impl FnMut() -> T, rounds: u32) -> f64 {
    let begun = Instant::now();
    for _ in 0..rounds {
        black_box(call());
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_measured_values() {
        let quartiles = Quartiles::of((0..41).rev().map(f64::from).collect());
        assert_eq!(quartiles, Quartiles { lower: 10.0, median: 20.0, upper: 30.0 });
    }
}
