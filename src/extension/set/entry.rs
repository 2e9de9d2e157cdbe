//! The functions of `wit/` that the service calls: where a component exports them, and whether they have the types of the contract.

use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, ComponentType, InstancePre, Lift, Lower,
};

use super::super::call::{Answer, GuestFailure, Parameters};
use super::super::package::{About, Command};
use super::super::tenant::Tenant;
use super::{Exported, Unit};

/// The interfaces of `wit/`, without their version.
const HANDLER: &str = "postroom:extension/handler";
const DESCRIBE: &str = "postroom:extension/describe";
pub(super) const INIT: &str = "postroom:extension/init";
const CLI: &str = "postroom:extension/cli";
/// The version of `wit/` that this program was written for. Types do not change within a major version, so any 1.x can be called.
const MAJOR: u64 = 1;

/// Where they are.
pub(in crate::extension) struct Entries {
    pub(in crate::extension) handle: ComponentExportIndex,
    pub(in crate::extension) describe: Option<ComponentExportIndex>,
    pub(in crate::extension) init: Option<ComponentExportIndex>,
    pub(in crate::extension) cli: Option<Cli>,
}

pub(in crate::extension) struct Cli {
    pub(in crate::extension) spec: ComponentExportIndex,
    pub(in crate::extension) run: ComponentExportIndex,
}

pub(in crate::extension) type Described = (GuestAbout,);
pub(in crate::extension) type Initialised = (Result<(), GuestFailure>,);
pub(in crate::extension) type Specified = (GuestSpec,);

/// `about` of `wit/describe.wit`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(in crate::extension) struct GuestAbout {
    version: String,
    description: String,
    actions: Vec<String>,
    capabilities: Vec<String>,
}

/// `spec` of `wit/cli.wit`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(in crate::extension) struct GuestSpec {
    name: String,
    about: String,
    usage: String,
}

impl From<GuestAbout> for About {
    fn from(GuestAbout { version, description, actions, capabilities }: GuestAbout) -> About {
        About { version, description, actions, capabilities }
    }
}

impl From<GuestSpec> for Command {
    fn from(GuestSpec { name, about, usage }: GuestSpec) -> Command {
        Command { name, about, usage }
    }
}

impl Entries {
    pub(super) fn of(unit: &Unit, component: &Component, instances: &InstancePre<Tenant>) -> Result<Entries, String> {
        let found = Finder { unit, component, instances };
        let handle = found
            .function::<Parameters<'_>, Answer>(HANDLER, "handle")?
            .ok_or_else(|| format!("it does not export `{HANDLER}@{MAJOR}.0.0`, which every extension does"))?;
        let describe = found.function::<(), Described>(DESCRIBE, "describe")?;
        let init = found.function::<(), Initialised>(INIT, "init")?;
        let spec = found.function::<(), Specified>(CLI, "spec")?;
        let run = found.function::<(Vec<String>,), (u8,)>(CLI, "run")?;
        let cli = spec.zip(run).map(|(spec, run)| Cli { spec, run });
        Ok(Entries { handle, describe, init, cli })
    }
}

struct Finder<'a> {
    unit: &'a Unit,
    component: &'a Component,
    instances: &'a InstancePre<Tenant>,
}

impl Finder<'_> {
    /// The exported function of this interface, in whatever compatible version. None if the component does not export the interface.
    fn function<P, R>(&self, interface: &str, function: &str) -> Result<Option<ComponentExportIndex>, String>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let exports = || self.unit.analysis.exports.iter().filter(|export| export.name == interface);
        // A pre-release promises nothing.
        let known = exports().find(|export| {
            export.version.as_ref().is_some_and(|version| version.major == MAJOR && version.pre.is_empty())
        });
        let Some(export) = known else {
            let Some(other) = exports().next() else { return Ok(None) };
            let version = other.version.as_ref().map_or_else(String::new, |version| format!("@{version}"));
            return Err(format!("it exports `{interface}{version}`; this program knows `{interface}` {MAJOR}.x only"));
        };
        let name = super::InterfaceName { name: export.name.clone(), version: export.version.clone() };
        let (index, ty) = find(self.component, &Some(name.clone()), function)
            .ok_or_else(|| format!("its `{}` has no function `{function}`", name.full()))?;
        ty.typecheck::<P, R>(&self.instances.instance_type()).map_err(|error| {
            format!("its `{function}` does not have the types of this contract: {}", error.root_cause())
        })?;
        Ok(Some(index))
    }
}

/// Where a component exports a function, and its type.
pub(super) fn find(
    component: &Component,
    interface: &Option<super::InterfaceName>,
    function: &str,
) -> Option<(ComponentExportIndex, ComponentFunc)> {
    let of_interface = match interface {
        Some(interface) => Some(component.get_export_index(None, interface.full())?),
        None => None,
    };
    match component.get_export(of_interface.as_ref(), function)? {
        (wasmtime::component::types::ComponentItem::ComponentFunc(ty), index) => Some((index, ty)),
        _ => None,
    }
}

pub(super) fn find_exported(
    component: &Component,
    exported: &Exported,
) -> Option<(ComponentExportIndex, ComponentFunc)> {
    find(component, &exported.interface, &exported.name)
}
