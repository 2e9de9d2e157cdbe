//! Values of component functions as JSON text, by the rules of `wit/invoke.wit`: for callers that know a function only by its name.
//!
//! | type | JSON |
//! | --- | --- |
//! | `bool`, `string`, numbers | themselves; `u64` and `s64` beyond ±(2^53−1) as a string of digits; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | `char` | a string of one character |
//! | `list`, `tuple` | an array |
//! | `record` | an object with the names of the type; an optional field may be left out |
//! | `flags` | an array of names |
//! | `enum`, a case without a value | a string |
//! | a case with a value | an object with the case as its only name |
//! | `option` | the value or `null`; an option in an option is an array of none or one |
//! | `result` | `{"ok": …}` or `{"err": …}`, with `null` where there is no value |
//!
//! Absent on purpose: resources, streams, futures, error contexts (they mean nothing outside of their store), and the types that the
//! engine does not have turned on (maps, lists of a fixed length). A function with one of them in its type is refused before it is called.
//!
//! Invariant: what is written can be read again with the same type, and is then the same value.

mod number;
mod read;
mod spelled;
mod write;

#[cfg(test)]
mod tests;

use wasmtime::component::Type;
use wasmtime::component::types::{Case, ComponentFunc};

pub(super) use read::arguments;
pub(super) use write::result;

/// How floating-point values that JSON has no number for are written.
const NAN: &str = "NaN";
const INFINITY: &str = "Infinity";
const NEGATIVE_INFINITY: &str = "-Infinity";

/// The names of the two cases of a `result`.
const OK: &str = "ok";
const ERR: &str = "err";

/// Can this function be called with JSON at all? If not, the reason.
pub(super) fn is_expressible(function: &ComponentFunc) -> Result<(), String> {
    for (name, ty) in function.params() {
        inexpressible(&ty).map_or(Ok(()), |kind| Err(format!("its parameter `{name}` has {kind} in its type")))?;
    }
    for ty in function.results() {
        inexpressible(&ty).map_or(Ok(()), |kind| Err(format!("its result has {kind} in its type")))?;
    }
    Ok(())
}

/// The kind of type in it that has no JSON.
fn inexpressible(ty: &Type) -> Option<&'static str> {
    match ty {
        Type::Bool
        | Type::S8
        | Type::U8
        | Type::S16
        | Type::U16
        | Type::S32
        | Type::U32
        | Type::S64
        | Type::U64
        | Type::Float32
        | Type::Float64
        | Type::Char
        | Type::String
        | Type::Enum(_)
        | Type::Flags(_) => None,
        Type::List(list) => inexpressible(&list.ty()),
        Type::Record(record) => record.fields().find_map(|field| inexpressible(&field.ty)),
        Type::Tuple(tuple) => tuple.types().find_map(|ty| inexpressible(&ty)),
        Type::Variant(variant) => variant.cases().find_map(|Case { ty, .. }| inexpressible(&ty?)),
        Type::Option(option) => inexpressible(&option.ty()),
        Type::Result(result) => [result.ok(), result.err()].iter().flatten().find_map(inexpressible),
        Type::Own(_) | Type::Borrow(_) => Some("a resource"),
        Type::Future(_) => Some("a future"),
        Type::Stream(_) => Some("a stream"),
        Type::ErrorContext => Some("an error context"),
        Type::Map(_) => Some("a map"),
        Type::FixedLengthList(_) => Some("a list of a fixed length"),
    }
}
