//! JSON text to the values of a function's parameters.

use wasmtime::component::types::ComponentFunc;
use wasmtime::component::types::{Flags, OptionType, Record, ResultType, Variant};
use wasmtime::component::{Type, Val};

use super::number::{float, long, whole};
use super::spelled::{Place, QUOTED, Spelled};
use super::{ERR, OK, inexpressible};
use crate::message::json::{self, Kind, Member, Outline};
use crate::message::{JsonText, visible};
use crate::policy::nearest;

/// Values in one call. Each takes some 40 bytes here, which no limit on a guest's memory counts.
const MOST_VALUES: usize = 1_000_000;

/// Names that an error lists where none is near.
const LISTED: usize = 16;

/// The values of all parameters, from a JSON array with one element each.
///
/// # Errors
/// For a person: the place in the arguments, and what is wrong there.
pub(in crate::extension) fn arguments(function: &ComponentFunc, text: &str) -> Result<Vec<Val>, String> {
    let place = Place::Arguments;
    let outline = match json::scan(text, JsonText::MAX_DEPTH) {
        Ok(outline) => outline,
        Err(error) => return place.wrong(format_args!("not strict JSON: {error}")),
    };
    let root = Spelled { text: outline.span.of(text), kind: outline.kind };
    let types: Vec<Type> = function.params().map(|(_, ty)| ty).collect();
    if root.kind != Kind::Array {
        return place.wrong(format_args!("must be an array, but are {}", root.kind.described()));
    }
    Reader { left: MOST_VALUES }.tuple(&types, root, &place)
}

struct Reader {
    /// How many values there may still be.
    left: usize,
}

impl Reader {
    fn value(&mut self, ty: &Type, json: Spelled<'_>, place: &Place<'_>) -> Result<Val, String> {
        match ty {
            Type::Bool => match json.kind {
                Kind::Bool => Ok(Val::Bool(json.text == "true")),
                _ => json.mismatch(place, "true or false"),
            },
            Type::S8 => Ok(Val::S8(whole(json, place, "s8")?)),
            Type::U8 => Ok(Val::U8(whole(json, place, "u8")?)),
            Type::S16 => Ok(Val::S16(whole(json, place, "s16")?)),
            Type::U16 => Ok(Val::U16(whole(json, place, "u16")?)),
            Type::S32 => Ok(Val::S32(whole(json, place, "s32")?)),
            Type::U32 => Ok(Val::U32(whole(json, place, "u32")?)),
            Type::S64 => Ok(Val::S64(whole(long(json), place, "s64")?)),
            Type::U64 => Ok(Val::U64(whole(long(json), place, "u64")?)),
            Type::Float32 => Ok(Val::Float32(float(json, place)?)),
            Type::Float64 => Ok(Val::Float64(float(json, place)?)),
            Type::Char => character(json, place).map(Val::Char),
            Type::String => Ok(Val::String(json.string(place, "a string")?)),
            Type::List(list) => self.list(&list.ty(), json, place).map(Val::List),
            Type::Tuple(tuple) => {
                let types: Vec<Type> = tuple.types().collect();
                self.tuple(&types, json, place).map(Val::Tuple)
            }
            Type::Record(record) => self.record(record, json, place).map(Val::Record),
            Type::Variant(variant) => self.variant(variant, json, place),
            Type::Enum(cases) => {
                let name = json.string(place, "a string that names a case")?;
                known(&name, cases.names(), "case", place)?;
                Ok(Val::Enum(name))
            }
            Type::Option(option) => self.option(option, json, place).map(|value| Val::Option(value.map(Box::new))),
            Type::Result(result) => self.result(result, json, place),
            Type::Flags(flags) => self.flags(flags, json, place).map(Val::Flags),
            Type::Own(_)
            | Type::Borrow(_)
            | Type::Future(_)
            | Type::Stream(_)
            | Type::ErrorContext
            | Type::Map(_)
            | Type::FixedLengthList(_) => {
                place.wrong(format_args!("{} cannot be passed", inexpressible(ty).unwrap_or("this")))
            }
        }
    }

    fn list(&mut self, ty: &Type, json: Spelled<'_>, place: &Place<'_>) -> Result<Vec<Val>, String> {
        let elements = self.open(json, Kind::Array, place, "an array")?.members;
        let read =
            |(index, element): (usize, &Member)| self.value(ty, json.member(element), &Place::Element(place, index));
        elements.iter().enumerate().map(read).collect()
    }

    fn tuple(&mut self, types: &[Type], json: Spelled<'_>, place: &Place<'_>) -> Result<Vec<Val>, String> {
        let elements = self.open(json, Kind::Array, place, "an array")?.members;
        if elements.len() != types.len() {
            return place.wrong(format_args!("must have {} elements, but has {}", types.len(), elements.len()));
        }
        let read = |(index, (ty, element)): (usize, (&Type, &Member))| {
            self.value(ty, json.member(element), &Place::Element(place, index))
        };
        types.iter().zip(&elements).enumerate().map(read).collect()
    }

    fn record(&mut self, record: &Record, json: Spelled<'_>, place: &Place<'_>) -> Result<Vec<(String, Val)>, String> {
        let members = self.open(json, Kind::Object, place, "an object")?.members;
        let mut given = std::collections::BTreeMap::new();
        for member in &members {
            let name = json::unescape(member.key.of(json.text)).into_owned();
            known(&name, record.fields().map(|field| field.name), "field", place)?;
            given.insert(name, member);
        }
        let mut fields = Vec::with_capacity(record.fields().len());
        for field in record.fields() {
            let value = match (given.get(field.name), &field.ty) {
                (Some(member), ty) => self.value(ty, json.member(member), &Place::Name(place, field.name))?,
                (None, Type::Option(_)) => Val::Option(None),
                (None, _) => return place.wrong(format_args!("the field {:?} is missing", field.name)),
            };
            fields.push((field.name.to_owned(), value));
        }
        Ok(fields)
    }

    fn variant(&mut self, variant: &Variant, json: Spelled<'_>, place: &Place<'_>) -> Result<Val, String> {
        let (name, value) = self.case(json, place)?;
        known(&name, variant.cases().map(|case| case.name), "case", place)?;
        // It is known, so it is found; a case without a type is the safe answer should it not be.
        let ty = variant.cases().find(|case| case.name == name).and_then(|case| case.ty);
        let here = Place::Name(place, &name);
        let value = match (ty, value) {
            (None, None) => None,
            (Some(ty), Some(value)) => Some(Box::new(self.value(&ty, value, &here)?)),
            (None, Some(_)) => {
                return place.wrong(format_args!("the case {name:?} has no value; write it as the string {name:?}"));
            }
            (Some(_), None) => {
                return place.wrong(format_args!("the case {name:?} needs a value, as in {{{name:?}: ...}}"));
            }
        };
        Ok(Val::Variant(name, value))
    }

    fn option(&mut self, option: &OptionType, json: Spelled<'_>, place: &Place<'_>) -> Result<Option<Val>, String> {
        let inner = option.ty();
        if !matches!(inner, Type::Option(_)) {
            return match json.kind {
                Kind::Null => Ok(None),
                _ => self.value(&inner, json, place).map(Some),
            };
        }
        let elements = self.open(json, Kind::Array, place, "an array of none or one")?.members;
        match elements.as_slice() {
            [] => Ok(None),
            [element] => self.value(&inner, json.member(element), &Place::Element(place, 0)).map(Some),
            several => place.wrong(format_args!("must have none or one element, but has {}", several.len())),
        }
    }

    fn result(&mut self, result: &ResultType, json: Spelled<'_>, place: &Place<'_>) -> Result<Val, String> {
        let wanted = "an object with \"ok\" or \"err\" as its only name";
        let Kind::Object = json.kind else { return json.mismatch(place, wanted) };
        let (name, Some(value)) = self.case(json, place)? else { return json.mismatch(place, wanted) };
        let here = Place::Name(place, &name);
        let mut payload = |ty: Option<Type>| match ty {
            Some(ty) => self.value(&ty, value, &here).map(|value| Some(Box::new(value))),
            None if value.kind == Kind::Null => Ok(None),
            None => value.mismatch(&here, "null, as there is no value here"),
        };
        match name.as_str() {
            OK => payload(result.ok()).map(|value| Val::Result(Ok(value))),
            ERR => payload(result.err()).map(|value| Val::Result(Err(value))),
            _ => place.wrong(format_args!("must be {wanted}, but has {}", shown(&name))),
        }
    }

    fn flags(&mut self, flags: &Flags, json: Spelled<'_>, place: &Place<'_>) -> Result<Vec<String>, String> {
        let elements = self.open(json, Kind::Array, place, "an array of names")?.members;
        let mut set: Vec<String> = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let here = Place::Element(place, index);
            let name = json.member(element).string(&here, "a string that names a flag")?;
            known(&name, flags.names(), "flag", &here)?;
            if set.contains(&name) {
                return here.wrong(format_args!("the flag {name:?} is there twice"));
            }
            set.push(name);
        }
        Ok(set)
    }

    /// The name of a case, and its value if it is written with one.
    fn case<'t>(&mut self, json: Spelled<'t>, place: &Place<'_>) -> Result<(String, Option<Spelled<'t>>), String> {
        let wanted = "a string, or an object with a case as its only name";
        if json.kind == Kind::String {
            return Ok((json.string(place, wanted)?, None));
        }
        let members = self.open(json, Kind::Object, place, wanted)?.members;
        match members.as_slice() {
            [only] => Ok((json::unescape(only.key.of(json.text)).into_owned(), Some(json.member(only)))),
            several => place.wrong(format_args!("must be {wanted}, but has {} names", several.len())),
        }
    }

    /// What lies directly in an array or object.
    fn open(&mut self, json: Spelled<'_>, kind: Kind, place: &Place<'_>, wanted: &str) -> Result<Outline, String> {
        if json.kind != kind {
            return json.mismatch(place, wanted);
        }
        let outline = match json::scan(json.text, JsonText::MAX_DEPTH) {
            Ok(outline) => outline,
            Err(error) => return place.wrong(error),
        };
        match self.left.checked_sub(outline.members.len()) {
            Some(left) => self.left = left,
            None => return place.wrong(format_args!("there are more than {MOST_VALUES} values in the arguments")),
        }
        Ok(outline)
    }
}

fn character(json: Spelled<'_>, place: &Place<'_>) -> Result<char, String> {
    let text = json.string(place, "a string of one character")?;
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(only), None) => Ok(only),
        (_, _) => json.mismatch(place, "a string of one character"),
    }
}

/// Is this name one of those that the type has?
fn known<'a>(name: &str, names: impl Iterator<Item = &'a str>, what: &str, place: &Place<'_>) -> Result<(), String> {
    let names: Vec<&str> = names.collect();
    if names.contains(&name) {
        return Ok(());
    }
    let hint = match nearest(name, names.iter().copied()).first() {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("there are {}", names[..names.len().min(LISTED)].join(", ")),
    };
    place.wrong(format_args!("there is no {what} {}; {hint}", shown(name)))
}

fn shown(name: &str) -> String {
    format!("\"{}\"", visible(name, QUOTED))
}
