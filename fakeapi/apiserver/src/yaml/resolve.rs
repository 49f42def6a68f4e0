//! What a scalar means: YAML 1.1 as the real server's library understands it.

use base64::Engine as _;
use serde_json::{Number, Value};

use crate::json::unsigned;

/// The value of a plain scalar without a tag.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    let first = text.bytes().next();
    let known = match first {
        None => return Ok(Value::Null),
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => {
            return Ok(word(text).unwrap_or_else(|| Value::from(text)));
        }
        Some(b'.') => special_float(text).or_else(|| decimal(text).map(float)),
        Some(b'+' | b'-') => special_float(text).or_else(|| number(text).map(Ok)),
        Some(b'0'..=b'9') => number(text).map(Ok),
        Some(_) => None,
    };
    known.unwrap_or_else(|| Ok(Value::from(text)))
}

/// The value of a scalar with a tag of the core schema, `int` for `!!int`.
pub(super) fn tagged(kind: &str, text: &str) -> Result<Value, String> {
    if kind == "binary" {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text.replace(['\n', '\r'], ""))
            .map_err(|_| "!!binary value contains invalid base64 data".to_owned())?;
        return Ok(Value::from(String::from_utf8_lossy(&bytes).into_owned()));
    }
    if !matches!(kind, "int" | "float" | "bool" | "null") {
        return Ok(Value::from(text));
    }
    let value = plain(text)?;
    let found = match &value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) if is_float(text) => "float",
        Value::Number(_) => "int",
        _ => "str",
    };
    if kind == found || (kind == "float" && found == "int") {
        return Ok(value);
    }
    Err(format!("cannot decode !!{found} `{text}` as a !!{kind}"))
}

/// The text of a mapping's key.
pub(super) fn key(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Ok(integer.to_string()),
            // The server prints these keys in single precision.
            #[expect(clippy::cast_possible_truncation, reason = "single precision is meant")]
            None => Ok((number.as_f64().unwrap_or_default() as f32).to_string()),
        },
        Value::Null => Err("unsupported map key of type: null".to_owned()),
        Value::Array(_) | Value::Object(_) => Err(format!("invalid map key: {value}")),
    }
}

fn word(text: &str) -> Option<Value> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(Value::Bool(true))
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Value::Bool(false))
        }
        "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        _ => None,
    }
}

/// Infinities and NaN exist in YAML, but JSON cannot say them.
fn special_float(text: &str) -> Option<Result<Value, String>> {
    let name = match text {
        ".nan" | ".NaN" | ".NAN" => "NaN",
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => "+Inf",
        "-.inf" | "-.Inf" | "-.INF" => "-Inf",
        _ => return None,
    };
    Some(Err(format!("json: unsupported value: {name}")))
}

fn number(text: &str) -> Option<Value> {
    let digits = text.replace('_', "");
    if let Some(value) = integer(&digits) {
        return Some(value);
    }
    decimal(&digits).and_then(|value| float(value).ok())
}

/// Integers in the notations of Go: `0x1f`, `0o17`, `017`, `0b11`.
fn integer(text: &str) -> Option<Value> {
    let (negative, magnitude) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let lower = magnitude.to_ascii_lowercase();
    let (radix, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(value).map(Value::from);
    }
    // With a plus sign the server's integers are signed only.
    if text.starts_with('+') {
        return i64::try_from(value).ok().map(Value::from);
    }
    Some(unsigned(value))
}

/// A decimal number in the form `1`, `1.5`, `.5`, `1e3`.
fn decimal(text: &str) -> Option<f64> {
    if !is_decimal(text) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_is_fine = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent_is_fine
}

fn is_float(text: &str) -> bool {
    integer(&text.replace('_', "")).is_none()
}

/// A floating point number on its way through JSON: `1.0` is written `1`, and read an integer.
#[expect(clippy::unnecessary_wraps, reason = "a step in a chain of results")]
fn float(value: f64) -> Result<Value, String> {
    const WRITTEN_PLAIN: f64 = 1e21;
    if value.fract() == 0.0 && value.abs() < WRITTEN_PLAIN {
        // The shortest digits, as the server writes them: it may lose the last ones.
        if let Ok(integer) = value.to_string().parse::<i64>() {
            return Ok(Value::from(integer));
        }
    }
    Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
}
