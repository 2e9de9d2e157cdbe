//! Links that cannot work, found before anything runs. Pure.

use std::collections::BTreeSet;

use super::super::graph::Interface;
use super::super::set::RESOURCE;

/// What no value of another extension can be: it belongs to the store in which it was made, and to two components that know each other.
const ENDS: [&str; 3] = ["stream<", "future<", "error-context"];

/// Does this type, as the analysis spells it, name a resource? Names in WIT have no angle brackets, so this cannot be part of one.
pub(super) fn names_resources(ty: &str) -> bool {
    ty.contains("own<") || ty.contains("borrow<")
}

/// Are there values in a function of this type that cannot be made from text?
pub(super) fn crosses_nowhere(ty: &str) -> bool {
    names_resources(ty) || ENDS.iter().any(|end| ty.contains(end))
}

/// Why an interface cannot be imported from another extension, whoever that is.
pub(in crate::extension) fn refused_in_interface(import: &Interface) -> Option<String> {
    let (function, ty) = import.functions.iter().find(|(_, ty)| ENDS.iter().any(|end| ty.contains(end)))?;
    Some(format!(
        "`{function}` of {} is {ty}; streams, futures and error contexts cannot be passed between extensions",
        import.name
    ))
}

/// Why an interface cannot be imported from this provider: resources stay in one store, and the two would be in different ones.
pub(in crate::extension) fn refused_resources(
    import: &Interface,
    importer: &str,
    provider: &str,
    importer_in: &BTreeSet<usize>,
    provider_in: &BTreeSet<usize>,
) -> Option<String> {
    let has_resources = import.functions.values().any(|ty| ty == RESOURCE || names_resources(ty));
    (has_resources && !importer_in.is_subset(provider_in)).then(|| {
        format!(
            "{} has resources, and {provider} runs apart from {importer} because its WASI grants are its own; \
             resources cannot be passed between the two",
            import.name
        )
    })
}
