//! The values that a function returned, as JSON text.

use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{Type, Val};

use super::{ERR, INFINITY, NAN, NEGATIVE_INFINITY, OK};
use crate::message::json::MAX_INTEGER;

/// What a function returned: its one value, or `null` if it returns none.
///
/// # Errors
/// For a person: a value is not of the function's type, or has no JSON.
pub(in crate::extension) fn result(function: &ComponentFunc, values: &[Val]) -> Result<String, String> {
    let types: Vec<Type> = function.results().collect();
    let mut out = String::new();
    match (types.as_slice(), values) {
        ([], []) => out.push_str("null"),
        ([ty], [value]) => write(ty, value, &mut out)?,
        (types, values) => return Err(format!("{} values came of a function with {}", values.len(), types.len())),
    }
    Ok(out)
}

fn write(ty: &Type, value: &Val, out: &mut String) -> Result<(), String> {
    match (ty, value) {
        (Type::Bool, Val::Bool(flag)) => out.push_str(if *flag { "true" } else { "false" }),
        (Type::S8, Val::S8(number)) => out.push_str(&number.to_string()),
        (Type::U8, Val::U8(number)) => out.push_str(&number.to_string()),
        (Type::S16, Val::S16(number)) => out.push_str(&number.to_string()),
        (Type::U16, Val::U16(number)) => out.push_str(&number.to_string()),
        (Type::S32, Val::S32(number)) => out.push_str(&number.to_string()),
        (Type::U32, Val::U32(number)) => out.push_str(&number.to_string()),
        (Type::S64, Val::S64(number)) => long(number.to_string(), number.unsigned_abs(), out),
        (Type::U64, Val::U64(number)) => long(number.to_string(), *number, out),
        (Type::Float32, Val::Float32(number)) if number.is_finite() => push(out, number),
        (Type::Float32, Val::Float32(number)) => push(out, not_finite(f64::from(*number))),
        (Type::Float64, Val::Float64(number)) if number.is_finite() => push(out, number),
        (Type::Float64, Val::Float64(number)) => push(out, not_finite(*number)),
        (Type::Char, Val::Char(character)) => push(out, character),
        (Type::String, Val::String(text)) => push(out, text),
        (Type::List(list), Val::List(values)) => {
            let ty = list.ty();
            return array(values.iter().map(|value| (&ty, value)), out);
        }
        (Type::Tuple(tuple), Val::Tuple(values)) => {
            let types: Vec<Type> = tuple.types().collect();
            return array(types.iter().zip(values), out);
        }
        (Type::Record(record), Val::Record(fields)) => {
            let types = record.fields().map(|field| field.ty);
            return object(types.zip(fields).map(|(ty, (name, value))| (name.as_str(), Some((ty, value)))), out);
        }
        (Type::Variant(variant), Val::Variant(name, value)) => {
            let ty = variant.cases().find(|case| case.name == name).and_then(|case| case.ty);
            match ty.zip(value.as_deref()) {
                None => push(out, name),
                Some(value) => return object([(name.as_str(), Some(value))].into_iter(), out),
            }
        }
        (Type::Enum(_), Val::Enum(name)) => push(out, name),
        (Type::Flags(_), Val::Flags(names)) => push(out, names),
        (Type::Option(option), Val::Option(value)) => {
            let inner = option.ty();
            return match (&inner, value) {
                (Type::Option(_), value) => array(value.iter().map(|value| (&inner, &**value)), out),
                (_, Some(value)) => write(&inner, value, out),
                (_, None) => {
                    out.push_str("null");
                    Ok(())
                }
            };
        }
        (Type::Result(result), Val::Result(value)) => {
            let (name, ty, value) = match value {
                Ok(value) => (OK, result.ok(), value),
                Err(value) => (ERR, result.err(), value),
            };
            return object([(name, ty.zip(value.as_deref()))].into_iter(), out);
        }
        (ty, value) => return Err(format!("{value:?} came where {ty:?} was to come")),
    }
    Ok(())
}

/// Text, a finite number, or a list of texts.
fn push(out: &mut String, value: impl serde::Serialize) {
    // None of these can fail: there is no map in them whose keys are no strings.
    if let Ok(text) = serde_json::to_string(&value) {
        out.push_str(&text);
    }
}

/// A number of 64 bits, as a string where a double could not hold it.
fn long(digits: String, magnitude: u64, out: &mut String) {
    match magnitude <= MAX_INTEGER {
        true => out.push_str(&digits),
        false => push(out, digits),
    }
}

fn not_finite(number: f64) -> &'static str {
    match (number.is_nan(), number > 0.0) {
        (true, _) => NAN,
        (false, true) => INFINITY,
        (false, false) => NEGATIVE_INFINITY,
    }
}

fn array<'a>(values: impl Iterator<Item = (&'a Type, &'a Val)>, out: &mut String) -> Result<(), String> {
    out.push('[');
    for (index, (ty, value)) in values.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(ty, value, out)?;
    }
    out.push(']');
    Ok(())
}

/// Names and values; a name without a value has `null`.
fn object<'a>(
    members: impl Iterator<Item = (&'a str, Option<(Type, &'a Val)>)>,
    out: &mut String,
) -> Result<(), String> {
    out.push('{');
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(out, name);
        out.push(':');
        match value {
            Some((ty, value)) => write(&ty, value, out)?,
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(())
}
