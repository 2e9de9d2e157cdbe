//! Types as text, in the words of WIT.
//!
//! Absent on purpose: limits. The validator has bounded the depth and the size of every type before it comes here.

use std::collections::BTreeMap;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentEntityType, ComponentFuncType, ComponentInstanceType,
    ComponentValType, ResourceId,
};
use wasmparser::types::TypesRef;

/// Spells the types of one interface.
pub(super) struct Speller<'a> {
    types: TypesRef<'a>,
    /// The resources that the interface names.
    resources: BTreeMap<ResourceId, &'a str>,
}

impl<'a> Speller<'a> {
    pub(super) fn of(types: TypesRef<'a>, interface: &'a ComponentInstanceType) -> Speller<'a> {
        let named = |(name, item): (&'a String, &wasmparser::component_types::ComponentItem)| match item.ty {
            ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(id), .. } => {
                Some((id.resource(), name.as_str()))
            }
            _ => None,
        };
        Speller { types, resources: interface.exports.iter().filter_map(named).collect() }
    }

    /// For functions outside of interfaces.
    pub(super) fn of_nothing(types: TypesRef<'a>) -> Speller<'a> {
        Speller { types, resources: BTreeMap::new() }
    }

    /// What somebody must provide who provides this interface: its functions, and its resources as `resource`.
    pub(super) fn functions(&self, interface: &ComponentInstanceType) -> BTreeMap<String, String> {
        let spelled = |ty: &ComponentEntityType| match ty {
            ComponentEntityType::Func(id) => Some(self.function(&self.types[*id])),
            ComponentEntityType::Type { created: ComponentAnyTypeId::Resource(_), .. } => Some("resource".to_owned()),
            _ => None,
        };
        let exports = interface.exports.iter();
        exports.filter_map(|(name, item)| Some((name.clone(), spelled(&item.ty)?))).collect()
    }

    /// `func(a: s32) -> string`, or `async func(…)`.
    pub(super) fn function(&self, ty: &ComponentFuncType) -> String {
        let parameters: Vec<String> =
            ty.params.iter().map(|(name, ty)| format!("{name}: {}", self.value(ty))).collect();
        let result = ty.result.as_ref().map_or(String::new(), |ty| format!(" -> {}", self.value(ty)));
        let kind = if ty.async_ { "async func" } else { "func" };
        format!("{kind}({}){result}", parameters.join(", "))
    }

    fn value(&self, ty: &ComponentValType) -> String {
        match ty {
            ComponentValType::Primitive(primitive) => primitive.to_string(),
            ComponentValType::Type(id) => self.defined(&self.types[*id]),
        }
    }

    fn optional(&self, ty: &Option<ComponentValType>) -> String {
        ty.as_ref().map_or("_".to_owned(), |ty| self.value(ty))
    }

    fn defined(&self, ty: &ComponentDefinedType) -> String {
        match ty {
            ComponentDefinedType::Primitive(primitive) => primitive.to_string(),
            ComponentDefinedType::Record(record) => {
                braced("record", record.fields.iter().map(|(name, ty)| format!("{name}: {}", self.value(ty))))
            }
            ComponentDefinedType::Variant(variant) => {
                let case = |ty: &Option<ComponentValType>| {
                    ty.as_ref().map_or(String::new(), |ty| format!("({})", self.value(ty)))
                };
                braced("variant", variant.cases.iter().map(|(name, of)| format!("{name}{}", case(&of.ty))))
            }
            ComponentDefinedType::Flags(names) => braced("flags", names.iter().map(ToString::to_string)),
            ComponentDefinedType::Enum(names) => braced("enum", names.iter().map(ToString::to_string)),
            ComponentDefinedType::List { element, .. } => format!("list<{}>", self.value(element)),
            ComponentDefinedType::FixedLengthList { element, length, .. } => {
                format!("list<{}, {length}>", self.value(element))
            }
            ComponentDefinedType::Map { key, value, .. } => format!("map<{}, {}>", self.value(key), self.value(value)),
            ComponentDefinedType::Tuple(tuple) => {
                let types: Vec<String> = tuple.types.iter().map(|ty| self.value(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            ComponentDefinedType::Option { ty, .. } => format!("option<{}>", self.value(ty)),
            ComponentDefinedType::Result { ok, err, .. } => {
                format!("result<{}, {}>", self.optional(ok), self.optional(err))
            }
            ComponentDefinedType::Own(id) => format!("own<{}>", self.resource(id.resource())),
            ComponentDefinedType::Borrow(id) => format!("borrow<{}>", self.resource(id.resource())),
            ComponentDefinedType::Future { ty, .. } => format!("future<{}>", self.optional(ty)),
            ComponentDefinedType::Stream { ty, .. } => format!("stream<{}>", self.optional(ty)),
        }
    }

    fn resource(&self, id: ResourceId) -> &str {
        self.resources.get(&id).copied().unwrap_or("resource")
    }
}

fn braced(kind: &str, parts: impl Iterator<Item = String>) -> String {
    format!("{kind} {{ {} }}", parts.collect::<Vec<_>>().join(", "))
}
