//! Numbers out of JSON text: exact, or refused.

use super::spelled::{Place, Spelled};
use super::{INFINITY, NAN, NEGATIVE_INFINITY};
use crate::message::json::{self, Kind};

/// The text of a whole number that may be written as a string, so that it survives readers who only know doubles.
pub(super) fn long(json: Spelled<'_>) -> Spelled<'_> {
    let digits = json.text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match digits {
        Some(text) if is_canonical_whole(text) => Spelled { text, kind: Kind::Number },
        Some(_) | None => json,
    }
}

/// Digits without leading zeros, perhaps with a minus sign: one spelling for each number.
fn is_canonical_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let only_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    only_digits && (digits == "0" || !digits.starts_with('0')) && text != "-0"
}

pub(super) fn whole<T: std::str::FromStr + std::fmt::Display>(
    json: Spelled<'_>,
    place: &Place<'_>,
    ty: &str,
) -> Result<T, String> {
    let wanted = format!("a whole number within {ty}, written with digits alone");
    match json.kind {
        Kind::Number => json.text.parse().or_else(|_| json.mismatch(place, &wanted)),
        Kind::Object | Kind::Array | Kind::String | Kind::Bool | Kind::Null => json.mismatch(place, &wanted),
    }
}

/// A floating-point number of either size.
pub(super) trait Float: std::str::FromStr {
    const SPECIAL: [(&'static str, Self); 3];
    fn is_finite(&self) -> bool;
}

impl Float for f32 {
    const SPECIAL: [(&'static str, f32); 3] =
        [(NAN, f32::NAN), (INFINITY, f32::INFINITY), (NEGATIVE_INFINITY, f32::NEG_INFINITY)];
    fn is_finite(&self) -> bool {
        f32::is_finite(*self)
    }
}

impl Float for f64 {
    const SPECIAL: [(&'static str, f64); 3] =
        [(NAN, f64::NAN), (INFINITY, f64::INFINITY), (NEGATIVE_INFINITY, f64::NEG_INFINITY)];
    fn is_finite(&self) -> bool {
        f64::is_finite(*self)
    }
}

/// The nearest number of this size. One that is beyond the largest is refused: it would silently become infinite.
pub(super) fn float<T: Float>(json: Spelled<'_>, place: &Place<'_>) -> Result<T, String> {
    if json.kind == Kind::String {
        let text = json::unescape(json.text);
        let special = T::SPECIAL.into_iter().find(|(name, _)| *name == text);
        return special.map_or_else(
            || json.mismatch(place, "a number, \"NaN\", \"Infinity\" or \"-Infinity\""),
            |(_, number)| Ok(number),
        );
    }
    if json.kind != Kind::Number {
        return json.mismatch(place, "a number");
    }
    match json.text.parse::<T>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) | Err(_) => json.mismatch(place, "a number that is not too big"),
    }
}
