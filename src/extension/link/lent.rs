//! Resources of one extension that another one holds.
//!
//! The engine does not run the destructor of a resource that is passed on to another component as it is. So the holder gets a resource of the
//! host's instead, which stands for the real one; when it is dropped, the real one is, too, and its destructor runs.
//!
//! Absent on purpose: resources that cross from one store to another. They cannot; such links are refused when they are made.
//!
//! Invariant: each entry is either held by exactly one guest, or taken.

use wasmtime::AsContextMut;
use wasmtime::component::types::Type;
use wasmtime::component::{Resource, ResourceAny, ResourceType, Val};

use super::super::tenant::Tenant;
use super::error::LinkError;

/// How many resources of others the extensions of one store may hold. Each costs the host some tens of bytes, which no memory limit counts.
const MOST: usize = 10_000;

/// The type of the host's resources in the place of a guest's.
pub(super) enum Proxy {}

pub(super) fn proxy_type() -> ResourceType {
    ResourceType::host::<Proxy>()
}

/// The real resources, by the number that stands for each.
#[derive(Default)]
pub(in crate::extension) struct Lent {
    entries: Vec<Option<ResourceAny>>,
    free: Vec<u32>,
}

impl Lent {
    fn insert(&mut self, real: ResourceAny) -> Result<u32, LinkError> {
        if let Some(at) = self.free.pop() {
            self.entries[at as usize] = Some(real);
            return Ok(at);
        }
        if self.entries.len() >= MOST {
            return Err(LinkError::TooManyResources);
        }
        self.entries.push(Some(real));
        Ok(self.entries.len() as u32 - 1)
    }

    fn get(&self, at: u32) -> Result<ResourceAny, LinkError> {
        self.entries.get(at as usize).copied().flatten().ok_or(LinkError::NoSuchResource)
    }

    pub(super) fn take(&mut self, at: u32) -> Result<ResourceAny, LinkError> {
        let real = self.entries.get_mut(at as usize).and_then(Option::take).ok_or(LinkError::NoSuchResource)?;
        self.free.push(at);
        Ok(real)
    }
}

/// A value on its way from the importer to the provider, whose type for it this is: what stands for a resource becomes the resource.
/// What was made for this call only is noted in `for_call`.
pub(super) fn to_provider(
    store: &mut impl AsContextMut<Data = Tenant>,
    value: &Val,
    ty: &Type,
    for_call: &mut Vec<ResourceAny>,
) -> wasmtime::Result<Val> {
    map(value, ty, &mut |handle, ty| {
        let (Type::Own(wanted) | Type::Borrow(wanted)) = ty else {
            return Err(LinkError::NoSuchResource.into());
        };
        // This also ends a borrow: the engine keeps no account of the host's own resources.
        let stands_for = handle.try_into_resource::<Proxy>(&mut *store)?.rep();
        if *wanted == proxy_type() {
            // The provider has it from a third extension, so it holds what stands for it, too.
            let passed = Resource::<Proxy>::new_own(stands_for).try_into_resource_any(&mut *store)?;
            if matches!(ty, Type::Borrow(_)) {
                for_call.push(passed);
            }
            return Ok(passed);
        }
        let mut context = store.as_context_mut();
        let lent = &mut context.data_mut().lent;
        Ok(match ty {
            Type::Own(_) => lent.take(stands_for)?,
            _ => lent.get(stands_for)?,
        })
    })
}

/// A value on its way back to the importer: a resource becomes what stands for it.
pub(super) fn to_importer(
    store: &mut impl AsContextMut<Data = Tenant>,
    value: &Val,
    ty: &Type,
) -> wasmtime::Result<Val> {
    map(value, ty, &mut |real, _| {
        if real.ty() == proxy_type() {
            return Ok(real);
        }
        let at = store.as_context_mut().data_mut().lent.insert(real)?;
        Resource::<Proxy>::new_own(at).try_into_resource_any(&mut *store)
    })
}

/// Forgets what was made for a call that has ended. Nothing is destroyed: the importer still holds it.
pub(super) fn forget(store: &mut impl AsContextMut<Data = Tenant>, for_call: Vec<ResourceAny>) -> wasmtime::Result<()> {
    for passed in for_call {
        passed.try_into_resource::<Proxy>(&mut *store)?;
    }
    Ok(())
}

type Handles<'a> = dyn FnMut(ResourceAny, &Type) -> wasmtime::Result<ResourceAny> + 'a;

/// The value with every resource in it exchanged.
fn map(value: &Val, ty: &Type, exchange: &mut Handles<'_>) -> wasmtime::Result<Val> {
    let list = |values: &[Val], ty: &Type, exchange: &mut Handles<'_>| {
        values.iter().map(|value| map(value, ty, exchange)).collect::<wasmtime::Result<Vec<Val>>>()
    };
    Ok(match (value, ty) {
        (Val::Resource(handle), ty) => Val::Resource(exchange(*handle, ty)?),
        (Val::List(values), Type::List(ty)) => Val::List(list(values, &ty.ty(), exchange)?),
        (Val::FixedLengthList(values), Type::FixedLengthList(ty)) => {
            Val::FixedLengthList(list(values, &ty.ty(), exchange)?)
        }
        (Val::Map(pairs), Type::Map(ty)) => {
            let (key, of) = (ty.key(), ty.value());
            let pair = |(name, value): &(Val, Val)| Ok((map(name, &key, exchange)?, map(value, &of, exchange)?));
            Val::Map(pairs.iter().map(pair).collect::<wasmtime::Result<_>>()?)
        }
        (Val::Record(fields), Type::Record(ty)) => {
            let field = |((name, value), field): (&(String, Val), wasmtime::component::types::Field<'_>)| {
                Ok((name.clone(), map(value, &field.ty, exchange)?))
            };
            Val::Record(fields.iter().zip(ty.fields()).map(field).collect::<wasmtime::Result<_>>()?)
        }
        (Val::Tuple(values), Type::Tuple(ty)) => {
            let value = |(value, ty): (&Val, Type)| map(value, &ty, exchange);
            Val::Tuple(values.iter().zip(ty.types()).map(value).collect::<wasmtime::Result<_>>()?)
        }
        (Val::Variant(case, Some(value)), Type::Variant(ty)) => {
            let of = ty.cases().find(|of| of.name == case).and_then(|of| of.ty);
            Val::Variant(case.clone(), boxed(value, of, exchange)?)
        }
        (Val::Option(Some(value)), Type::Option(ty)) => Val::Option(boxed(value, Some(ty.ty()), exchange)?),
        (Val::Result(Ok(Some(value))), Type::Result(ty)) => Val::Result(Ok(boxed(value, ty.ok(), exchange)?)),
        (Val::Result(Err(Some(value))), Type::Result(ty)) => Val::Result(Err(boxed(value, ty.err(), exchange)?)),
        // Nothing in there can be a resource; and a value of another shape than its type does not come out of the engine.
        (value, _) => value.clone(),
    })
}

fn boxed(value: &Val, ty: Option<Type>, exchange: &mut Handles<'_>) -> wasmtime::Result<Option<Box<Val>>> {
    match ty {
        Some(ty) => Ok(Some(Box::new(map(value, &ty, exchange)?))),
        None => Ok(None),
    }
}
