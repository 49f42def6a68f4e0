//! Quantities of resources: `500m`, `1536Mi`, `1e3`.
//!
//! The server parses every quantity it stores and writes it back in canonical form, so clients
//! that compare what they sent with what they read depend on this arithmetic. Amounts are exact
//! decimals; what is finer than a billionth is rounded up, as the real server does.

use std::cmp::Ordering;
use std::fmt;

/// Most significant digits of an amount. The real server has no bound here; 36 digits hold
/// every amount below a quintillion quintillions exactly, and keep the arithmetic in 128 bits.
pub const MAX_DIGITS: u32 = 36;

/// Finest power of ten.
const NANO: i64 = -9;
const BINARY_CAP: i128 = i64::MAX as i128;

/// Why a text is no quantity, in the server's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not of the form number and suffix.
    #[error(
        "quantities must match the regular expression \
         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// The number has more than [`MAX_DIGITS`] digits.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is none of the known ones.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// A sum has more than [`MAX_DIGITS`] digits.
    #[error("sum of quantities is out of range")]
    Overflow,
}

/// The family of suffixes a quantity is written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Family {
    /// `n u m k M G T P E`
    Decimal,
    /// `Ki Mi Gi Ti Pi Ei`
    Binary,
    /// `e3`
    Exponent,
}

/// An exact amount, `mantissa * 10^scale`, that remembers how it was written.
///
/// Equality and order are those of the amounts: `1` equals `1000m`.
#[derive(Debug, Clone)]
pub struct Quantity {
    /// Without trailing zeros; zero has scale zero.
    mantissa: i128,
    scale: i64,
    family: Family,
    /// The text as it was written, where the server keeps that instead of the canonical form.
    kept: Option<Box<str>>,
}

impl Quantity {
    /// Parses a quantity as it stands in an object.
    ///
    /// # Errors
    /// With the server's text when it is none.
    ///
    /// ```
    /// # use apiserver::quantity::Quantity;
    /// assert_eq!(Quantity::parse("1.5Gi").unwrap().canonical(), "1536Mi");
    /// ```
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let parts = split(text)?;
        let (base, exponent, family) = suffix(parts.suffix).ok_or(QuantityError::Suffix)?;
        let digits = format!("{}{}", parts.whole, parts.fraction);
        let significant = digits.trim_start_matches('0');
        let stripped = significant.trim_end_matches('0');
        if stripped.len() > MAX_DIGITS as usize {
            return Err(QuantityError::Numeric);
        }
        // No digits left: a zero.
        let mantissa: i128 = stripped.parse().unwrap_or(0);
        let places = length(parts.fraction) - (length(significant) - length(stripped));
        let (mantissa, scale) = match base {
            Base::Ten => (mantissa, exponent - places),
            Base::Two => times_power_of_two(mantissa, -places, exponent)?,
        };
        let (mut mantissa, scale) = round_to_nano(mantissa, scale);
        let mut amount = Self { mantissa: 0, scale: 0, family, kept: None };
        if family == Family::Binary {
            if at_least_one(mantissa, scale) {
                let cap = Self::of(BINARY_CAP, 0, family);
                if Self::of(mantissa, scale, family) > cap {
                    return Ok(if parts.negative { cap.negated() } else { cap });
                }
            } else {
                amount.family = Family::Decimal;
            }
        }
        if parts.negative {
            mantissa = -mantissa;
        }
        (amount.mantissa, amount.scale) = normal(mantissa, scale);
        amount.kept = is_kept(&parts, &digits, exponent, family).then(|| text.into());
        Ok(amount)
    }

    fn of(mantissa: i128, scale: i64, family: Family) -> Self {
        let (mantissa, scale) = normal(mantissa, scale);
        Self { mantissa, scale, family, kept: None }
    }

    fn negated(mut self) -> Self {
        self.mantissa = -self.mantissa;
        self
    }

    /// The text the server writes: no fraction, the largest suffix of its family that keeps the
    /// amount whole. Some short texts are kept as they were written (`1.234`, `+5`).
    pub fn canonical(&self) -> String {
        if let Some(kept) = &self.kept {
            return kept.to_string();
        }
        if self.mantissa == 0 {
            return "0".to_owned();
        }
        if self.family == Family::Binary
            && let Some(text) = self.binary()
        {
            return text;
        }
        let lift = self.scale.rem_euclid(3);
        let mantissa = if lift == 0 { self.mantissa } else { self.mantissa * power(lift) };
        let exponent = self.scale - lift;
        match self.family {
            Family::Exponent if exponent != 0 => format!("{mantissa}e{exponent}"),
            Family::Exponent => mantissa.to_string(),
            Family::Decimal | Family::Binary => format!("{mantissa}{}", decimal_suffix(exponent)),
        }
    }

    /// `None` for amounts that the binary suffixes cannot or do not show.
    fn binary(&self) -> Option<String> {
        let mut amount = self.whole().filter(|amount| amount.abs() >= 1024)?;
        let mut suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
        let mut suffix = suffixes.next()?;
        while amount % 1024 == 0 {
            amount /= 1024;
            suffix = suffixes.next().unwrap_or_default();
        }
        Some(format!("{amount}{suffix}"))
    }

    /// The amount when it has no fraction and fits.
    fn whole(&self) -> Option<i128> {
        if self.scale < 0 {
            return None;
        }
        let factor = 10_i128.checked_pow(u32::try_from(self.scale).ok()?)?;
        self.mantissa.checked_mul(factor)
    }

    /// The sum, in the suffix family of `self` (of `other` when `self` is zero).
    ///
    /// # Errors
    /// [`QuantityError::Overflow`] above [`MAX_DIGITS`] digits.
    pub fn add(&self, other: &Self) -> Result<Self, QuantityError> {
        let scale = self.scale.min(other.scale);
        let raised = |amount: &Self| {
            let factor = 10_i128.checked_pow(u32::try_from(amount.scale - scale).ok()?)?;
            amount.mantissa.checked_mul(factor)
        };
        let sum = raised(self).zip(raised(other)).and_then(|(a, b)| a.checked_add(b));
        let family = if self.mantissa == 0 { other.family } else { self.family };
        let sum = Self::of(sum.ok_or(QuantityError::Overflow)?, scale, family);
        if digits(sum.mantissa) > i64::from(MAX_DIGITS) {
            return Err(QuantityError::Overflow);
        }
        Ok(sum)
    }

    /// The amount in units, rounded away from zero, within the range of the type.
    pub fn value(&self) -> i64 {
        self.in_units_of(0)
    }

    /// The amount in thousandths, rounded away from zero, within the range of the type.
    pub fn milli_value(&self) -> i64 {
        self.in_units_of(-3)
    }

    fn in_units_of(&self, scale: i64) -> i64 {
        let magnitude = self.mantissa.abs();
        let up = self.scale - scale;
        let scaled = if up < 0 {
            divide_up(magnitude, -up)
        } else {
            u32::try_from(up)
                .ok()
                .and_then(|up| 10_i128.checked_pow(up))
                .and_then(|factor| magnitude.checked_mul(factor))
                .unwrap_or(if magnitude == 0 { 0 } else { i128::MAX })
        };
        let signed = if self.mantissa < 0 { -scaled } else { scaled };
        let limit = if signed < 0 { i64::MIN } else { i64::MAX };
        i64::try_from(signed).unwrap_or(limit)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

impl std::str::FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        (self.mantissa, self.scale) == (other.mantissa, other.scale)
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.mantissa.signum();
        let by_sign = sign.cmp(&other.mantissa.signum());
        if by_sign != Ordering::Equal || sign == 0 {
            return by_sign;
        }
        let size = |amount: &Self| digits(amount.mantissa) + amount.scale;
        let by_size = size(self).cmp(&size(other));
        let magnitude = if by_size == Ordering::Equal {
            // As many digits before the point: the scales differ by less than MAX_DIGITS.
            let scale = self.scale.min(other.scale);
            let aligned = |amount: &Self| amount.mantissa.abs() * power(amount.scale - scale);
            aligned(self).cmp(&aligned(other))
        } else {
            by_size
        };
        if sign < 0 { magnitude.reverse() } else { magnitude }
    }
}

struct Parts<'a> {
    negative: bool,
    /// Digits before the point, without leading zeros.
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, QuantityError> {
    if text.is_empty() {
        return Err(QuantityError::Format);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let rest = unsigned.trim_start_matches('0');
    let (whole, rest) = leading(rest, |c| c.is_ascii_digit());
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => leading(rest, |c| c.is_ascii_digit()),
        None => ("", rest),
    };
    let (_, exponent) = leading(suffix, |c| "eEinumkKMGTP".contains(c));
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if !exponent.bytes().all(|b| b.is_ascii_digit()) {
        return Err(QuantityError::Format);
    }
    Ok(Parts { negative: text.starts_with('-'), whole, fraction, suffix })
}

fn leading(text: &str, of: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !of(c)).unwrap_or(text.len()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Two,
    Ten,
}

fn suffix(suffix: &str) -> Option<(Base, i64, Family)> {
    let decimal = |exponent| Some((Base::Ten, exponent, Family::Decimal));
    let binary = |exponent| Some((Base::Two, exponent, Family::Binary));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
            Some((Base::Ten, i64::from(exponent), Family::Exponent))
        }
    }
}

/// The suffix of a power of a thousand. Beyond the last one the real server writes none.
fn decimal_suffix(exponent: i64) -> &'static str {
    match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        18 => "E",
        _ => "",
    }
}

/// Whether the server keeps the text: it does when its quick path sees nothing to tidy.
fn is_kept(parts: &Parts<'_>, digits: &str, exponent: i64, family: Family) -> bool {
    let shifted = if parts.whole.is_empty() { format!("0{digits}") } else { digits.to_owned() };
    let (whole, fraction) = (length(parts.whole).max(1), length(parts.fraction));
    if family == Family::Binary {
        let precision = 15 - whole - exponent * 3 / 10 - 1;
        let odd = shifted
            .parse::<i64>()
            .is_ok_and(|value| value & 7 != 0 && value.checked_mul(1 << exponent).is_some());
        return fraction == 0 && precision >= 0 && odd;
    }
    let scale = exponent - fraction;
    whole + fraction <= 18
        && scale >= NANO
        && scale % 3 == 0
        && !shifted.ends_with("000")
        && !shifted.starts_with('0')
}

fn times_power_of_two(
    mantissa: i128,
    scale: i64,
    exponent: i64,
) -> Result<(i128, i64), QuantityError> {
    match mantissa.checked_mul(1 << exponent) {
        Some(product) => Ok((product, scale)),
        // Far above the cap, unless it is a long fraction.
        None if scale >= 0 => Ok((i128::MAX, 0)),
        None => Err(QuantityError::Numeric),
    }
}

fn round_to_nano(mantissa: i128, scale: i64) -> (i128, i64) {
    if scale >= NANO {
        return (mantissa, scale);
    }
    (divide_up(mantissa, NANO - scale), NANO)
}

/// A magnitude divided by a power of ten, rounded up.
fn divide_up(magnitude: i128, exponent: i64) -> i128 {
    let divisor = u32::try_from(exponent).ok().and_then(|e| 10_i128.checked_pow(e));
    match divisor {
        Some(divisor) => magnitude / divisor + i128::from(magnitude % divisor != 0),
        None => i128::from(magnitude != 0),
    }
}

fn at_least_one(magnitude: i128, scale: i64) -> bool {
    magnitude == 0 || digits(magnitude) + scale > 0
}

/// Trailing zeros moved into the scale.
fn normal(mut mantissa: i128, mut scale: i64) -> (i128, i64) {
    if mantissa == 0 {
        return (0, 0);
    }
    while mantissa % 10 == 0 {
        mantissa /= 10;
        scale += 1;
    }
    (mantissa, scale)
}

fn digits(mantissa: i128) -> i64 {
    mantissa.unsigned_abs().checked_ilog10().map_or(0, |log| i64::from(log) + 1)
}

/// Ten to a power that the bound on digits keeps small.
fn power(exponent: i64) -> i128 {
    u32::try_from(exponent).ok().and_then(|e| 10_i128.checked_pow(e)).unwrap_or(i128::MAX)
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
