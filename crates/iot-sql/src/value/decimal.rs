//! Decimal arithmetic with 34 digits.

use std::cmp::Ordering;
use std::fmt;

/// Digits a number keeps. [AWS iot-sql-data-types]: "Int … 34 digits", "Decimal … a precision of 34 digits".
const DIGITS_MAX: u32 = 34;

/// 10³⁴, the first coefficient with too many digits.
const COEFFICIENT_END: u128 = 10_u128.pow(DIGITS_MAX);

/// Largest power of ten, either way. [AWS iot-sql-data-types]: "non-zero absolute values … 1E-999 to 9.999…E999".
const EXPONENT_MAX: i64 = 999;

/// A decimal number, `coefficient × 10^exponent`, exact up to 34 digits and rounded half to even beyond.
///
/// `i128` holds 38 digits: a coefficient, and the guard digits that correct rounding needs.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    /// Absolute value below 10³⁴.
    coefficient: i128,
    exponent: i32,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { coefficient: 0, exponent: 0 };

    /// Reads `[-]digits[.digits][e[±]digits]`. `None` when it is no number or beyond AWS's range.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut magnitude = Magnitude::default();
        for digit in whole.bytes().chain(fraction.bytes()) {
            magnitude.push(char::from(digit).to_digit(10)?);
        }
        if whole.is_empty() {
            return None;
        }
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        magnitude.finish(negative, exponent)
    }

    /// Reads a string as AWS converts one: no plus sign, no bare point, no spaces.
    ///
    /// [AWS iot-sql-data-types] "Conversions": strings that match `^-?\d+(\.\d+)?((?i)E-?\d+)?$`.
    pub fn from_text(text: &str) -> Option<Self> {
        let ends_whole = |part: &str| part.ends_with(|last: char| last.is_ascii_digit());
        let mantissa = text.split(['e', 'E']).next()?;
        let plain = !text.contains('+') && ends_whole(text) && ends_whole(mantissa);
        // A point needs digits before it; `parse` sees to that.
        if plain { Self::parse(text) } else { None }
    }

    /// The value as a 64-bit integer, rounded down; `None` when it does not fit.
    pub fn to_i64(self) -> Option<i64> {
        let whole = self.floor();
        if whole.exponent > 18 {
            return (whole.coefficient == 0).then_some(0);
        }
        let power = 10_i128.checked_pow(u32::try_from(whole.exponent).ok()?)?;
        i64::try_from(whole.coefficient.checked_mul(power)?).ok()
    }

    /// Whether this is zero.
    pub fn is_zero(self) -> bool {
        self.coefficient == 0
    }

    /// -1, 0 or 1.
    pub fn sign(self) -> i64 {
        i64::try_from(self.coefficient.signum()).expect("a sign is -1, 0 or 1")
    }

    /// The value without its sign.
    pub fn abs(self) -> Self {
        Self { coefficient: self.coefficient.abs(), ..self }
    }

    /// The value with the other sign.
    pub fn negate(self) -> Self {
        Self { coefficient: -self.coefficient, ..self }
    }

    /// `self + other`; `None` when the result is out of range.
    pub fn plus(self, other: Self) -> Option<Self> {
        let (mut high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        if high.coefficient == 0 {
            // Zero keeps the other's digits and the finer scale: 0 + 1.50 is 1.50.
            return Some(low);
        }
        if low.coefficient == 0 && i64::from(high.exponent) - i64::from(low.exponent) > i64::from(DIGITS_MAX)
        {
            return Some(high);
        }
        let gap = high.exponent.abs_diff(low.exponent);
        let shift = gap.min(37 - digits(high.coefficient.unsigned_abs()));
        high.coefficient *= 10_i128.pow(shift);
        high.exponent -= shift as i32;
        // What of `low` lies below the 37th digit of `high` only tells which way to round.
        let drop = gap - shift;
        let (aligned, rest) = match 10_i128.checked_pow(drop) {
            Some(power) => (low.coefficient / power, low.coefficient % power),
            None => (0, low.coefficient),
        };
        let sum = high.coefficient + aligned;
        let mut magnitude = sum.unsigned_abs();
        if rest != 0 && (rest < 0) != (sum < 0) {
            magnitude -= 1;
        }
        finish(sum < 0, magnitude, rest != 0, i64::from(high.exponent))
    }

    /// `self - other`; `None` when the result is out of range.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negate())
    }

    /// `self × other`; `None` when the result is out of range.
    pub fn times(self, other: Self) -> Option<Self> {
        let (mut high, mut low) =
            wide_product(self.coefficient.unsigned_abs(), other.coefficient.unsigned_abs());
        let mut exponent = i64::from(self.exponent) + i64::from(other.exponent);
        let mut inexact = false;
        while high != 0 || low >= 10_u128.pow(38) {
            let remainder;
            (high, low, remainder) = wide_tenth(high, low);
            inexact |= remainder != 0;
            exponent += 1;
        }
        finish((self.coefficient < 0) != (other.coefficient < 0), low, inexact, exponent)
    }

    /// `self ÷ other` to 34 digits; `None` for a zero divisor or a result out of range.
    pub fn divided_by(self, other: Self) -> Option<Self> {
        let divisor = other.coefficient.unsigned_abs();
        if divisor == 0 {
            return None;
        }
        let dividend = self.coefficient.unsigned_abs();
        let (mut quotient, mut remainder) = (dividend / divisor, dividend % divisor);
        let mut exponent = i64::from(self.exponent) - i64::from(other.exponent);
        // Schoolbook: one more digit while something is left; three guard digits for rounding.
        while remainder != 0 && quotient < COEFFICIENT_END * 100 {
            remainder *= 10;
            quotient = quotient * 10 + remainder / divisor;
            remainder %= divisor;
            exponent -= 1;
        }
        finish((self.coefficient < 0) != (other.coefficient < 0), quotient, remainder != 0, exponent)
    }

    /// The remainder of `self ÷ other`, with the sign of `self`; `None` for a zero divisor.
    pub fn modulo(self, other: Self) -> Option<Self> {
        let (mut dividend, mut divisor) = (self.coefficient, other.coefficient.abs());
        if divisor == 0 {
            return None;
        }
        if self.exponent >= other.exponent {
            for _ in 0..self.exponent.abs_diff(other.exponent) {
                dividend = (dividend % divisor) * 10;
            }
            return Some(Self { coefficient: dividend % divisor, exponent: other.exponent });
        }
        for _ in 0..self.exponent.abs_diff(other.exponent) {
            // The divisor is the larger already: nothing to take off.
            if divisor > dividend.abs() {
                return Some(self);
            }
            divisor *= 10;
        }
        Some(Self { coefficient: dividend % divisor, exponent: self.exponent })
    }

    /// The largest whole number that is not above this.
    pub fn floor(self) -> Self {
        if self.exponent >= 0 {
            return self;
        }
        let power = 10_i128.checked_pow(self.exponent.unsigned_abs());
        let coefficient = match power {
            Some(power) => self.coefficient.div_euclid(power),
            None => self.coefficient.signum().min(0),
        };
        Self { coefficient, exponent: 0 }
    }

    /// The smallest whole number that is not below this.
    pub fn ceil(self) -> Self {
        self.negate().floor().negate()
    }

    /// The nearest whole number, halves away from zero.
    pub fn round(self) -> Self {
        let whole = self.truncate(0);
        let half = Self { coefficient: 5, exponent: -1 };
        let rest = self.minus(whole).unwrap_or(Self::ZERO);
        if rest.abs() < half {
            return whole;
        }
        Self { coefficient: whole.coefficient + self.coefficient.signum(), exponent: 0 }
    }

    /// This with at most `places` digits behind the point; the others are cut off.
    pub fn truncate(self, places: u32) -> Self {
        let surplus = i64::from(-self.exponent) - i64::from(places);
        if surplus <= 0 {
            return self;
        }
        let power = u32::try_from(surplus).ok().and_then(|surplus| 10_i128.checked_pow(surplus));
        Self {
            coefficient: power.map_or(0, |power| self.coefficient / power),
            exponent: -i32::try_from(places).unwrap_or(i32::MAX),
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_sign = self.coefficient.signum().cmp(&other.coefficient.signum());
        if by_sign != Ordering::Equal || self.coefficient == 0 {
            return by_sign;
        }
        let by_size = self.magnitude().cmp(&other.magnitude()).then_with(|| {
            // Same place of the first digit: fill both up to 34 digits and compare them.
            let filled = |coefficient: i128| {
                let coefficient = coefficient.unsigned_abs();
                coefficient * 10_u128.pow(DIGITS_MAX - digits(coefficient))
            };
            filled(self.coefficient).cmp(&filled(other.coefficient))
        });
        if self.coefficient < 0 { by_size.reverse() } else { by_size }
    }

    /// The power of ten of the first digit.
    fn magnitude(&self) -> i64 {
        i64::from(self.exponent) + i64::from(digits(self.coefficient.unsigned_abs())) - 1
    }

    /// Without trailing zeros behind the point when all of them are zeros: 10.0 becomes 10.
    pub(crate) fn whole_as_int(self) -> Self {
        let whole = self.floor();
        if whole == self { whole } else { self }
    }
}

/// By value, exactly: 5 equals 5.0.
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other)
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self { coefficient: value.into(), exponent: 0 }
    }
}

/// Plain digits where that stays readable, else scientific: `0.000001`, `5E-12`. Always valid JSON.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.coefficient < 0 { "-" } else { "" };
        let text = self.coefficient.unsigned_abs().to_string();
        let first = i64::from(self.exponent) + text.len() as i64 - 1;
        if self.exponent >= 0 && first < i64::from(DIGITS_MAX) {
            return write!(
                f,
                "{sign}{text}{:0<zeros$}",
                "",
                zeros = if text == "0" { 0 } else { self.exponent as usize }
            );
        }
        if self.exponent < 0 && first >= -6 {
            let places = self.exponent.unsigned_abs() as usize;
            let padded = format!("{text:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            return write!(f, "{sign}{whole}.{fraction}");
        }
        if text == "0" {
            return f.write_str("0");
        }
        let (lead, rest) = text.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{sign}{lead}{point}{rest}E{first}")
    }
}

/// Decimal digits as they are read: the first 37, and whether anything followed.
#[derive(Default)]
struct Magnitude {
    value: u128,
    dropped: i64,
    inexact: bool,
}

impl Magnitude {
    fn push(&mut self, digit: u32) {
        if self.value < COEFFICIENT_END * 100 {
            self.value = self.value * 10 + u128::from(digit);
        } else {
            self.dropped += 1;
            self.inexact |= digit != 0;
        }
    }

    fn finish(self, negative: bool, exponent: i64) -> Option<Decimal> {
        finish(negative, self.value, self.inexact, exponent.checked_add(self.dropped)?)
    }
}

/// Rounds `magnitude` (at most 38 digits; `inexact`: a little more than that) to 34 digits, half to even.
fn finish(negative: bool, magnitude: u128, inexact: bool, exponent: i64) -> Option<Decimal> {
    if magnitude == 0 {
        let exponent = exponent.clamp(-i64::from(DIGITS_MAX), 0) as i32;
        return Some(Decimal { coefficient: 0, exponent });
    }
    let surplus = digits(magnitude).saturating_sub(DIGITS_MAX);
    let power = 10_u128.pow(surplus);
    let (mut coefficient, rest) = (magnitude / power, magnitude % power);
    let mut exponent = exponent.saturating_add(surplus.into());
    let up = match (rest * 2).cmp(&power) {
        Ordering::Greater => true,
        Ordering::Equal => surplus > 0 && (inexact || coefficient % 2 == 1),
        Ordering::Less => false,
    };
    coefficient += u128::from(up);
    if coefficient == COEFFICIENT_END {
        coefficient /= 10;
        exponent = exponent.saturating_add(1);
    }
    let first = exponent.saturating_add(digits(coefficient).into()).saturating_sub(1);
    if !(-EXPONENT_MAX..=EXPONENT_MAX).contains(&first) {
        return None;
    }
    let coefficient = i128::try_from(coefficient).expect("34 digits fit an i128");
    let coefficient = if negative { -coefficient } else { coefficient };
    Some(Decimal { coefficient, exponent: i32::try_from(exponent).ok()? })
}

/// How many decimal digits `value` has; one for zero.
fn digits(value: u128) -> u32 {
    value.checked_ilog10().map_or(1, |log| log + 1)
}

/// The 256-bit product, high half first.
fn wide_product(left: u128, right: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let (left_high, left_low) = (left >> 64, left & LOW);
    let (right_high, right_low) = (right >> 64, right & LOW);
    let low = left_low * right_low;
    // Neither sum overflows: each factor is below 2⁶⁴.
    let cross = left_high * right_low + (low >> 64);
    let other = left_low * right_high + (cross & LOW);
    (left_high * right_high + (cross >> 64) + (other >> 64), (other << 64) | (low & LOW))
}

/// A tenth of a 256-bit number, and the digit that falls off.
fn wide_tenth(high: u128, low: u128) -> (u128, u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let upper = ((high % 10) << 64) | (low >> 64);
    let lower = ((upper % 10) << 64) | (low & LOW);
    (high / 10, ((upper / 10) << 64) | (lower / 10), lower % 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn arithmetic_is_exact_where_binary_is_not() {
        assert_eq!(decimal("0.1").plus(decimal("0.2")).unwrap().to_string(), "0.3");
        assert_eq!(decimal("1.10").times(decimal("3")).unwrap().to_string(), "3.30");
        assert_eq!(
            decimal("1").minus(decimal("1e-30")).unwrap().to_string(),
            format!("0.{}", "9".repeat(30))
        );
        assert_eq!(decimal("7").divided_by(decimal("2")).unwrap().to_string(), "3.5");
        assert_eq!(
            decimal("1").divided_by(decimal("3")).unwrap().to_string(),
            format!("0.{}", "3".repeat(34))
        );
        assert_eq!(
            decimal("2").divided_by(decimal("3")).unwrap().to_string(),
            format!("0.{}7", "6".repeat(33))
        );
        assert_eq!(decimal("-8.5").modulo(decimal("3")).unwrap().to_string(), "-2.5");
        assert_eq!(decimal("1e30").modulo(decimal("7")).unwrap().to_string(), "1");
        assert!(decimal("1").divided_by(decimal("0.0")).is_none());
    }

    #[test]
    fn results_are_rounded_half_to_even_at_34_digits() {
        let nines = "9".repeat(34);
        assert_eq!(
            decimal(&nines).plus(decimal("1")).unwrap().to_string(),
            "1.000000000000000000000000000000000E34"
        );
        assert_eq!(
            decimal(&nines).times(decimal(&nines)).unwrap().to_string(),
            "9.999999999999999999999999999999998E67"
        );
        assert_eq!(decimal("1e40").minus(decimal("1e-900")).unwrap(), decimal("1e40"));
        assert_eq!(
            decimal(&format!("{}5", "1".repeat(34))).to_string(),
            "1.111111111111111111111111111111112E34"
        );
    }

    #[test]
    fn what_lies_beyond_the_guard_digits_decides_a_tie() {
        let zeros = "0".repeat(32);
        let (even, odd) = (decimal(&format!("1{zeros}0")), decimal(&format!("1{zeros}1")));
        let (tie, above) = (decimal("0.5"), decimal("0.5000000001"));
        assert_eq!(even.plus(tie), Some(even));
        assert_eq!(even.plus(above), Some(odd));
        assert_eq!(odd.minus(above), Some(even));
        assert_eq!(decimal(&format!("1{zeros}0.50000")), even);
        assert_eq!(decimal(&format!("1{zeros}0.50001")), odd);
    }

    #[test]
    fn rounding_functions() {
        let rounded = |text: &str| decimal(text).round().to_string();
        assert_eq!(
            [rounded("1.5"), rounded("-1.5"), rounded("0.49"), rounded("1e3")],
            ["2", "-2", "0", "1000"]
        );
        assert_eq!(decimal("-5.123").floor().to_string(), "-6");
        assert_eq!(decimal("-1.2").ceil().to_string(), "-1");
        assert_eq!(decimal("2.379").truncate(2).to_string(), "2.37");
        assert_eq!(decimal("-1e-100").floor().to_i64(), Some(-1));
        assert_eq!(decimal("1e19").to_i64(), None);
    }

    #[test]
    fn only_aws_number_strings_are_numbers() {
        for text in ["0", "-1.2", "5E-12", "5e2", "007"] {
            assert!(Decimal::from_text(text).is_some(), "{text}");
        }
        for text in ["", "+5", ".5", "5.", "0x10", "1,000", "NaN", "5E+2", " 5", "1e", "-", "1.e5", "٣"] {
            assert!(Decimal::from_text(text).is_none(), "{text}");
        }
    }

    #[test]
    fn beyond_the_range_there_is_no_number() {
        assert!(Decimal::parse("9e999").is_some());
        for text in ["1e1000", "1e-1000", "1e99999999999999999999", "1e9223372036854775807"] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
        // Rounding these up adds one more to an exponent that is the largest already.
        assert!(Decimal::parse(&format!("{}e{}", "9".repeat(35), i64::MAX)).is_none());
        assert!(decimal("1e999").times(decimal("10")).is_none());
    }

    proptest! {
        #[test]
        fn agrees_with_integers(left in -1_000_000_i64..1_000_000, right in -1_000_000_i64..1_000_000) {
            let (a, b) = (Decimal::from(left), Decimal::from(right));
            prop_assert_eq!(a.plus(b).unwrap().to_i64(), Some(left + right));
            prop_assert_eq!(a.times(b).unwrap().to_i64(), Some(left * right));
            prop_assert_eq!(a.cmp(&b), left.cmp(&right));
            if right != 0 {
                prop_assert_eq!(a.modulo(b).unwrap().to_i64(), Some(left % right));
            }
        }

        #[test]
        fn printing_keeps_the_value(coefficient in any::<i64>(), exponent in -60_i32..60) {
            let value = Decimal { coefficient: coefficient.into(), exponent };
            prop_assert_eq!(decimal(&value.to_string()), value);
        }

        #[test]
        fn sum_and_difference_cancel(a in any::<i64>(), b in any::<i64>(), ea in -9_i32..9, eb in -9_i32..9) {
            let (a, b) = (
                Decimal { coefficient: (a / 1_000).into(), exponent: ea },
                Decimal { coefficient: (b / 1_000).into(), exponent: eb },
            );
            let back = a.plus(b).unwrap().minus(b).unwrap();
            prop_assert_eq!(back, a);
        }
    }
}
