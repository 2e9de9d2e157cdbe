//! From a folder of files to a set of extensions that work together.
//!
//! Nothing here is the end of everything: a file that cannot be used, an extension that cannot be served, one whose `init` fails are each
//! named and set aside with whoever stands on them, and the others are loaded.
//!
//! An extension of which everything is known already ([`Facts`]) is not even read here, only at its first use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::analysis::{self, Analysis};
use super::configuration::{Configuration, Terms};
use super::engine::Sandbox;
use super::graph::{self, Interface, Link, Resolution};
use super::package::{self, About, Broken, Command, Unusable};
use super::set::{Home, InterfaceName, Set, Unit, Wire, exported, places};
use super::tenant::Importer;
use super::{attempt, host, link};
use crate::policy::grants::WasiGrants;

/// What is known of a component under its hash. All of it follows from the bytes, so it need not be found out twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Of the component's bytes.
    pub sha256: [u8; 32],
    pub analysis: Analysis,
    pub about: About,
    pub command: Option<Command>,
}

/// A file on its way into the set.
struct Draft {
    name: String,
    path: PathBuf,
    terms: Terms,
    sha256: [u8; 32],
    analysis: Analysis,
    /// None where it has still to be asked.
    said: Option<(About, Option<Command>)>,
}

/// The set, what each of its extensions says of itself (in loading order), and what was set aside.
pub(super) struct Loaded {
    pub(super) set: Arc<Set>,
    pub(super) said: Vec<(Arc<Unit>, About, Option<Command>)>,
    pub(super) broken: Vec<Broken>,
    /// Who was set aside for a reason that may go away by itself.
    pub(super) may_pass: BTreeSet<String>,
}

/// Loads these files. `known` is asked for what is known of a file as it is now.
pub(super) async fn load(
    sandbox: Arc<Sandbox>,
    files: Vec<PathBuf>,
    configuration: &Configuration,
    known: &(dyn Fn(&Path) -> Option<Facts> + Sync),
) -> Loaded {
    let (mut drafts, mut broken, mut may_pass) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    for path in files {
        match Draft::of(&path, configuration, known).await {
            Ok(draft) => {
                drafts.insert(draft.name.clone(), draft);
            }
            Err(why) => {
                let name = package::shown_name(&path);
                if why.may_pass {
                    may_pass.insert(name.clone());
                }
                broken.push(Broken { name, path, reason: why.reason });
            }
        }
    }
    let unusable = broken.len();
    let (set, mut said) = resolve(sandbox, drafts, configuration, &mut broken);
    if !may_pass.is_empty() {
        // What they lack may be in a file that could not be read.
        may_pass.extend(broken[unusable..].iter().map(|broken| broken.name.clone()));
    }
    let set = Arc::new(set);
    let mut asked = Vec::new();
    for unit in set.units().cloned().collect::<Vec<_>>() {
        match ask(&set, &unit, said.remove(unit.name())).await {
            Ok((about, command)) => asked.push((unit, about, command)),
            Err(Unusable { reason, may_pass: may }) => {
                if may || set.lost_provider(&unit).is_some_and(|provider| may_pass.contains(provider)) {
                    may_pass.insert(unit.name().to_owned());
                }
                broken.push(Broken { name: unit.name().to_owned(), path: unit.path.clone(), reason: reason.clone() });
                set.set_aside(unit.index(), reason);
            }
        }
    }
    broken.sort_by(|a, b| a.path.cmp(&b.path));
    Loaded { set, said: asked, broken, may_pass }
}

type Said = (About, Option<Command>);

/// What it says of itself, and its `init`.
async fn ask(set: &Arc<Set>, unit: &Arc<Unit>, said: Option<Said>) -> Result<Said, Unusable> {
    if let Some(provider) = set.lost_provider(unit) {
        return Err(format!("{} needs {provider}, which cannot be loaded itself", unit.name()).into());
    }
    let said = match said {
        Some(said) => said,
        None => {
            unit.prepared(&set.sandbox).await?;
            attempt::describe(set, unit).await?
        }
    };
    if unit.has_init() {
        unit.prepared(&set.sandbox).await?;
        attempt::init(set, unit).await?;
    }
    Ok(said)
}

impl Draft {
    async fn of(
        path: &Path,
        configuration: &Configuration,
        known: &(dyn Fn(&Path) -> Option<Facts> + Sync),
    ) -> Result<Draft, Unusable> {
        let name = package::name(path)?;
        let terms = configuration.terms(&name).clone();
        let path = path.to_owned();
        if let Some(Facts { sha256, analysis, about, command }) = known(&path) {
            return Ok(Draft { name, path, terms, sha256, analysis, said: Some((about, command)) });
        }
        let file = path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let bytes = package::read(&file)?;
            let analysis = analysis::analyse(&bytes).map_err(|error| error.to_string())?;
            Ok::<_, Unusable>((package::sha256(&bytes), analysis))
        });
        let failed = |error| Err(format!("it makes the analysis fail ({error}); this is a fault of postroom").into());
        let (sha256, analysis) = read.await.unwrap_or_else(failed)?;
        Ok(Draft { name, path, terms, sha256, analysis, said: None })
    }

    /// Why it cannot be linked, whoever else is there.
    fn refused(&self) -> Vec<String> {
        // Its place is given later; nothing of a refusal depends on it.
        let importer = self.importer(0);
        let own = |import: &&Interface| !host::is_built_in(&import.name);
        let bare =
            self.analysis.bare_imports.keys().map(|name| {
                format!("it imports the function `{name}` outside of any interface, which nobody can provide")
            });
        let granted = self.analysis.imports.iter().filter(|import| !import.functions.is_empty() && !own(import));
        let not_granted = granted.filter_map(|import| {
            let name = InterfaceName { name: import.name.clone(), version: import.version.clone() };
            host::missing_grant(&importer, &name.full())
        });
        let not_passable = self.analysis.imports.iter().filter(own).filter_map(link::refused_in_interface);
        bare.chain(not_granted).chain(not_passable).collect()
    }

    fn importer(&self, index: usize) -> Importer {
        Importer {
            name: self.name.clone(),
            index,
            grants: self.terms.grants,
            wasi: self.terms.wasi.clone(),
            config: self.terms.config.clone(),
        }
    }

    /// The worlds are numbered as they come up.
    fn home(&self, worlds: &mut Vec<Arc<WasiGrants>>) -> Home {
        let imports_wasi = |import: &Interface| host::wasi::is_wasi(&import.name) && !import.functions.is_empty();
        if !self.analysis.imports.iter().any(imports_wasi) {
            return Home::Anywhere;
        }
        let known = worlds.iter().position(|world| *world == self.terms.wasi);
        Home::World(known.unwrap_or_else(|| {
            worlds.push(self.terms.wasi.clone());
            worlds.len() - 1
        }))
    }

    fn imported(&self, link: &Link) -> Option<&Interface> {
        let mut imports = self.analysis.imports.iter();
        imports.find(|import| import.name == link.interface && import.version == link.required)
    }
}

/// Who works together, and who is set aside.
fn resolve(
    sandbox: Arc<Sandbox>,
    drafts: BTreeMap<String, Draft>,
    configuration: &Configuration,
    broken: &mut Vec<Broken>,
) -> (Set, BTreeMap<String, Said>) {
    let is_built_in = |interface: &Interface| host::is_built_in(&interface.name);
    let nodes: Vec<graph::Node> = drafts.values().map(|draft| draft.analysis.node(&draft.name, is_built_in)).collect();
    let resolution = graph::resolve(&nodes, configuration.choices());
    let mut worlds = vec![Arc::new(WasiGrants::default())];
    let placed = place(&drafts, &resolution, &mut worlds);
    let reasons = reasons(&drafts, &resolution, &placed);
    for (name, reasons) in &reasons {
        if let Some(draft) = drafts.get(name) {
            broken.push(Broken { name: name.clone(), path: draft.path.clone(), reason: reasons.join("; ") });
        }
    }
    let order = resolution.order.iter().filter(|name| !reasons.contains_key(*name)).cloned().collect();
    let (units, said) = assemble(drafts, order, &resolution.links, placed);
    (Set::new(sandbox, units, worlds), said)
}

/// Why who is set aside, each with every reason that was found.
fn reasons(
    drafts: &BTreeMap<String, Draft>,
    resolution: &Resolution,
    placed: &Placed,
) -> BTreeMap<String, Vec<String>> {
    let refused = drafts.values().map(|draft| (draft.name.clone(), draft.refused()));
    let mut reasons: BTreeMap<String, Vec<String>> = refused.filter(|(_, refused)| !refused.is_empty()).collect();
    for (name, problems) in &resolution.set_aside {
        reasons.entry(name.clone()).or_default().extend(problems.iter().map(ToString::to_string));
    }
    for link in &resolution.links {
        if let Some(reason) = apart(drafts, placed, link) {
            reasons.entry(link.importer.clone()).or_default().push(reason);
        }
    }
    follow(resolution, &mut reasons);
    reasons
}

/// The extensions in this order, wired to each other, and what is known already of what they say.
fn assemble(
    mut drafts: BTreeMap<String, Draft>,
    order: Vec<String>,
    links: &[Link],
    mut placed: Placed,
) -> (Vec<Unit>, BTreeMap<String, Said>) {
    let index = |name: &str| order.iter().position(|other| other == name);
    let mut wires: BTreeMap<&str, Vec<Wire>> = BTreeMap::new();
    for link in links {
        if let Some(wire) = index(&link.provider).and_then(|provider| wire(&drafts, link, provider)) {
            wires.entry(&link.importer).or_default().push(wire);
        }
    }
    let (mut units, mut said) = (Vec::new(), BTreeMap::new());
    for (index, name) in order.iter().enumerate() {
        let Some(draft) = drafts.remove(name) else { continue };
        let importer = draft.importer(index);
        let wires = wires.remove(name.as_str()).unwrap_or_default();
        let places = placed.remove(name).unwrap_or_default();
        units.push(Unit::new(importer, draft.path, draft.sha256, draft.analysis, draft.terms, wires, places));
        said.extend(draft.said.map(|said| (name.clone(), said)));
    }
    (units, said)
}

/// The WASI worlds in whose stores each may be instantiated.
type Placed = BTreeMap<String, BTreeSet<usize>>;

/// In which stores each may be instantiated.
fn place(drafts: &BTreeMap<String, Draft>, resolution: &Resolution, worlds: &mut Vec<Arc<WasiGrants>>) -> Placed {
    let order: Vec<&Draft> = resolution.order.iter().filter_map(|name| drafts.get(name)).collect();
    let homes: Vec<Home> = order.iter().map(|draft| draft.home(worlds)).collect();
    let position = |name: &str| order.iter().position(|draft| draft.name == name);
    let mut providers = vec![Vec::new(); order.len()];
    for link in &resolution.links {
        if let (Some(importer), Some(provider)) = (position(&link.importer), position(&link.provider)) {
            providers[importer].push(provider);
        }
    }
    order.iter().map(|draft| draft.name.clone()).zip(places(&homes, &providers)).collect()
}

/// Why this link cannot be made although the types are the same.
fn apart(drafts: &BTreeMap<String, Draft>, placed: &Placed, link: &Link) -> Option<String> {
    let import = drafts.get(&link.importer)?.imported(link)?;
    link::refused_resources(
        import,
        &link.importer,
        &link.provider,
        placed.get(&link.importer)?,
        placed.get(&link.provider)?,
    )
}

/// Sets aside whoever stands on somebody who is. Providers come first in the order, so one pass is enough.
fn follow(resolution: &Resolution, reasons: &mut BTreeMap<String, Vec<String>>) {
    for name in &resolution.order {
        let links = resolution.links.iter().filter(|link| link.importer == *name);
        let lost: BTreeSet<&String> =
            links.map(|link| &link.provider).filter(|provider| reasons.contains_key(*provider)).collect();
        let lost: Vec<String> = lost
            .into_iter()
            .map(|provider| format!("{name} needs {provider}, which cannot be loaded itself"))
            .collect();
        if !lost.is_empty() {
            reasons.entry(name.clone()).or_default().extend(lost);
        }
    }
}

/// A link, by the places of the functions among the provider's.
fn wire(drafts: &BTreeMap<String, Draft>, link: &Link, provider: usize) -> Option<Wire> {
    let import = drafts.get(&link.importer)?.imported(link)?;
    let offered = exported(&drafts.get(&link.provider)?.analysis);
    let export = InterfaceName { name: link.interface.clone(), version: link.provided.clone() };
    let place = |name: &String| {
        offered.iter().position(|function| function.interface.as_ref() == Some(&export) && function.name == *name)
    };
    let functions =
        import.functions.iter().filter_map(|(name, ty)| Some((name.clone(), place(name)?, ty.clone()))).collect();
    let import = InterfaceName { name: link.interface.clone(), version: link.required.clone() };
    Some(Wire { import, provider, functions })
}
