//! Numbers and binary values as JSON text. Never loses a digit: integers and decimals are exact, floats are the
//! shortest text that reads back equal.

use arrow_array::types::DecimalType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Appends an integer.
pub fn write_integer<I: itoa::Integer>(value: I, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a float; JSON has no NaN and no infinities, they are null.
pub fn write_float<F: zmij::Float + Into<f64>>(value: F, out: &mut Vec<u8>) {
    if value.into().is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends a decimal with all the digits of its scale.
pub fn write_decimal<T: DecimalType>(value: T::Native, precision: u8, scale: i8, out: &mut Vec<u8>) {
    out.extend_from_slice(T::format_decimal(value, precision, scale).as_bytes());
}

/// Appends binary as a string of base64 (RFC 4648 section 4, with padding).
pub fn write_binary(value: &[u8], out: &mut Vec<u8>) {
    let start = out.len() + 1;
    out.push(b'"');
    out.resize(start + value.len().div_ceil(3) * 4, b'=');
    // The room is exactly what base64 takes, the one thing that the engine could complain about.
    let written = STANDARD.encode_slice(value, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.push(b'"');
}
