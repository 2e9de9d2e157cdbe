//! What a component offers and needs, from its bytes alone.
//!
//! Absent on purpose: compiling, and judging. The bytes are checked as far as their types go; function bodies are left to the compiler.
//!
//! Invariant: two functions or resources are spelled equally exactly if one can stand in for the other: types are written out in full,
//! without the names that were given to them.

mod spelling;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use wasmparser::component_types::{ComponentEntityType, ComponentItem};
use wasmparser::types::TypesRef;
use wasmparser::{BinaryReaderError, Encoding, Parser, Payload, Validator, WasmFeatures};

use super::graph::{Interface, Node, Version};
use spelling::Speller;

/// The interfaces of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Analysis {
    pub imports: Vec<Interface>,
    pub exports: Vec<Interface>,
    /// Functions that belong to no interface.
    pub bare_imports: BTreeMap<String, String>,
    /// Likewise. Some tools export one of their own.
    pub bare_exports: BTreeMap<String, String>,
}

/// Why bytes could not be analysed.
#[derive(Debug)]
pub enum AnalysisError {
    NotAComponent,
    Invalid(BinaryReaderError),
}

/// Reads the interfaces out of a component's bytes.
pub fn analyse(component: &[u8]) -> Result<Analysis, AnalysisError> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    // How many modules and components are open; the outermost component is 1.
    let mut depth = 0;
    let mut types = None;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(AnalysisError::Invalid)?;
        match &payload {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(AnalysisError::NotAComponent);
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section.clone() {
                    imports.push(import.map_err(AnalysisError::Invalid)?.name.name);
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section.clone() {
                    exports.push(export.map_err(AnalysisError::Invalid)?.name.name);
                }
            }
            // The crate's own enum of sections, none of which says anything about interfaces.
            _ => {}
        }
        if let wasmparser::ValidPayload::End(of_this) = validator.payload(&payload).map_err(AnalysisError::Invalid)? {
            types = Some(of_this);
        }
    }
    let types = types.ok_or(AnalysisError::NotAComponent)?;
    let types = types.as_ref();
    let mut analysis = Analysis::default();
    for name in imports {
        let item = types.component_item_for_import(name);
        sort_in(types, name, item, &mut analysis.imports, &mut analysis.bare_imports);
    }
    for name in exports {
        let item = types.component_item_for_export(name);
        sort_in(types, name, item, &mut analysis.exports, &mut analysis.bare_exports);
    }
    Ok(analysis)
}

/// Notes an item of the outermost component where it belongs.
fn sort_in(
    types: TypesRef<'_>,
    name: &str,
    item: Option<&ComponentItem>,
    interfaces: &mut Vec<Interface>,
    bare: &mut BTreeMap<String, String>,
) {
    let Some(item) = item else { return };
    match item.ty {
        ComponentEntityType::Instance(id) => {
            let full = format!("{name}{}", item.version_suffix.as_deref().unwrap_or_default());
            let (name, version) = split(&full);
            let speller = Speller::of(types, &types[id]);
            interfaces.push(Interface { name, version, functions: speller.functions(&types[id]) });
        }
        ComponentEntityType::Func(id) => {
            bare.insert(name.to_owned(), Speller::of_nothing(types).function(&types[id]));
        }
        // Nothing that could be linked to another extension.
        ComponentEntityType::Module(_)
        | ComponentEntityType::Value(_)
        | ComponentEntityType::Type { .. }
        | ComponentEntityType::Component(_) => {}
    }
}

/// `ns:pkg/lib@1.2.3` in two. What does not end in a version is a name as a whole.
pub(super) fn split(full: &str) -> (String, Option<Version>) {
    match full.rsplit_once('@').map(|(name, version)| (name, version.parse())) {
        Some((name, Ok(version))) => (name.to_owned(), Some(version)),
        Some((_, Err(_))) | None => (full.to_owned(), None),
    }
}

impl Analysis {
    /// As a node of the graph, under this name: without the imports that the host provides, and without those of types alone, which need
    /// nobody.
    pub fn node(&self, name: &str, is_built_in: impl Fn(&Interface) -> bool) -> Node {
        let needed = |import: &&Interface| !import.functions.is_empty() && !is_built_in(import);
        Node {
            name: name.to_owned(),
            imports: self.imports.iter().filter(needed).cloned().collect(),
            exports: self.exports.clone(),
        }
    }
}

impl std::fmt::Display for AnalysisError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AnalysisError::NotAComponent => f.write_str("it is not a WebAssembly component"),
            AnalysisError::Invalid(error) => write!(f, "it is not a valid component: {error}"),
        }
    }
}

impl std::error::Error for AnalysisError {}
