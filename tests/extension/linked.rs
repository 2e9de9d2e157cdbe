//! Extensions in text form that import from each other.
//!
//! Each handles messages with a core function `run`, which gets place and length of the payload and returns the place of a pair: place and
//! length of the reply. Memory below 8192 is the test's own; 1024 to 1100 are used by what stands here.

use std::path::Path;
use std::sync::Arc;

use postroom::extension::{Attempted, Broken, Configuration, ExtensionHost, Nowhere};
use postroom::message::Handled;

use super::mock::{HANDLE, TYPES, binary};
use super::{Folder, call};

/// A memory, and an allocator that only goes up.
pub const MEMORY: &str = r#"
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 8192))
    (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
        (local $start i32)
        (local.set $start (i32.and
            (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
            (i32.sub (i32.const 0) (local.get $align))))
        (global.set $top (i32.add (local.get $start) (local.get $size)))
        (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
            (then (drop (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $size) (i32.const 65536)))))))
        (local.get $start))
"#;

/// Makes `$pair`, which returns the place of a pair, out of two values.
const PAIR: &str = r#"
    (func $pair (param i32 i32) (result i32)
        (i32.store (i32.const 1024) (local.get 0))
        (i32.store (i32.const 1028) (local.get 1))
        (i32.const 1024))
"#;

/// A `run` that replies with the payload.
pub const ECHO: &str = r#"(func (export "run") (param i32 i32) (result i32) (call $pair (local.get 0) (local.get 1)))"#;

/// `canon lift` and `canon lower` with this memory.
pub const WITH_MEMORY: &str = r#"(memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))"#;

/// An extension.
///
/// Its own code is in a component inside of it, like the handler around that: a component must not be entered from within.
pub struct Guest {
    imports: String,
    passed_on: String,
    aliases: String,
    lowered: String,
    core: String,
    lifted: String,
    exports: String,
    after: String,
    /// Before the types of `run` and `handle`.
    kind: &'static str,
}

/// One whose core functions are these.
pub fn guest(core: &str) -> Guest {
    let (imports, passed_on, aliases, lowered, lifted, exports, after) = Default::default();
    Guest { imports, passed_on, aliases, lowered, core: core.into(), lifted, exports, after, kind: "" }
}

/// One that replies with its payload.
pub fn echoing() -> Guest {
    guest(ECHO)
}

impl Guest {
    /// Imports an interface, whose declarations are these. The core code may call these functions of it, each with its core signature.
    pub fn importing(mut self, interface: &str, declarations: &str, functions: &[(&str, &str)]) -> Guest {
        let id = id_of(interface);
        // What a component writes to export a type under a name, the type of an instance writes in another way.
        let named = regex_lite::Regex::new(r#"\(export (\$\S+) ("\S+") \(type (\$\S+)\)\)"#).unwrap();
        let declarations = named.replace_all(declarations, "(export $2 (type $1 (eq $3)))");
        self.imports += &format!("(import \"{interface}\" (instance ${id} {declarations}))\n");
        self.passed_on += &format!("(with \"{interface}\" (instance ${id}))");
        for (name, signature) in functions {
            let function = id_of(name);
            self.aliases += &format!(
                "(alias export ${id} \"{name}\" (func ${function}))
                 (core func ${function}-lowered (canon lower (func ${function}) {WITH_MEMORY}))\n"
            );
            self.lowered += &format!("(export \"{name}\" (func ${function}-lowered))");
            self.core = format!("(import \"imported\" \"{name}\" (func ${function} {signature}))\n{}", self.core);
        }
        self
    }

    /// The same, but its core code goes on while such a function runs: it passes a place for the result, and gets the state of a subtask.
    pub fn importing_at_once(self, interface: &str, declarations: &str, functions: &[(&str, &str)]) -> Guest {
        let mut guest = self.importing(interface, declarations, functions);
        for (name, _) in functions {
            let lowered = format!("(canon lower (func ${}) ", id_of(name));
            guest.aliases = guest.aliases.replace(&lowered, &format!("{lowered}async "));
        }
        guest
    }

    /// `$set` makes a set of subtasks, `$join` puts one into it, `$wait` waits for one of a set, `$done` lets go of one.
    pub fn waiting_for_subtasks(mut self) -> Guest {
        self.aliases += "(core func $set-built (canon waitable-set.new))
             (core func $join-built (canon waitable.join))
             (core func $wait-built (canon waitable-set.wait (memory (core memory $memory \"memory\"))))
             (core func $done-built (canon subtask.drop))\n";
        for (name, signature) in [
            ("set", "(result i32)"),
            ("join", "(param i32 i32)"),
            ("wait", "(param i32 i32) (result i32)"),
            ("done", "(param i32)"),
        ] {
            self.lowered += &format!("(export \"{name}\" (func ${name}-built))");
            self.core = format!("(import \"imported\" \"{name}\" (func ${name} {signature}))\n{}", self.core);
        }
        self
    }

    /// The same for an interface that uses a resource of another one, which is imported already.
    pub fn importing_with(
        mut self,
        interface: &str,
        of: &str,
        resource: &str,
        declarations: &str,
        functions: &[(&str, &str)],
    ) -> Guest {
        self.imports += &format!("(alias export ${of} \"{resource}\" (type ${resource}-outer))\n", of = id_of(of));
        let used = format!(
            "(alias outer 1 ${resource}-outer (type ${resource}-used)) (export \"{resource}\" (type ${resource} (eq ${resource}-used)))"
        );
        self.importing(interface, &format!("{used} {declarations}"), functions)
    }

    /// `$drop` destroys this imported resource.
    pub fn dropping(mut self, interface: &str, resource: &str) -> Guest {
        self.aliases += &format!(
            "(alias export ${id} \"{resource}\" (type ${resource}))
             (core func $drop-lowered (canon resource.drop ${resource}))\n",
            id = id_of(interface)
        );
        self.lowered += "(export \"drop\" (func $drop-lowered))";
        self.core = format!("(import \"imported\" \"drop\" (func $drop (param i32)))\n{}", self.core);
        self
    }

    /// Exports an interface that uses an imported resource, which was made known with [`Guest::dropping`].
    pub fn exporting_with(mut self, interface: &str, of: &str, resource: &str, functions: &[(&str, &str)]) -> Guest {
        let (id, of) = (id_of(interface), id_of(of));
        let outer = format!("(alias export ${of} \"{resource}\" (type ${resource}-of-{id}))");
        let mut instance = format!("(export \"{resource}\" (type ${resource}-of-{id}))");
        for (name, signature) in functions {
            self.lifted += &format!(
                "(func ${name}-lifted {signature} (canon lift (core func $i \"{name}\") {WITH_MEMORY}))
                 (export \"{name}\" (func ${name}-lifted))\n"
            );
            instance += &format!("(export \"{name}\" (func $body \"{name}\"))");
        }
        self.exports +=
            &format!("{outer} (instance $of-{id} {instance}) (export \"{interface}\" (instance $of-{id}))\n");
        self
    }

    /// Exports core functions as an interface. Their types have no names, so there are no records and the like among them.
    pub fn exporting(mut self, interface: &str, functions: &[(&str, &str)]) -> Guest {
        let mut instance = String::new();
        for (name, signature) in functions {
            self.lifted += &format!(
                "(func ${name}-lifted {signature} (canon lift (core func $i \"{name}\") {WITH_MEMORY}))
                 (export \"{name}\" (func ${name}-lifted))\n"
            );
            instance += &format!("(export \"{name}\" (func $body \"{name}\"))");
        }
        let id = id_of(interface);
        self.exports += &format!("(instance $of-{id} {instance}) (export \"{interface}\" (instance $of-{id}))\n");
        self
    }

    /// More core functions.
    pub fn prepend(&mut self, core: &str) {
        self.core = format!("{core}\n{}", self.core);
    }

    /// Its `handle` is an `async func`, so it may wait.
    pub fn waiting(mut self) -> Guest {
        self.kind = "async";
        self
    }

    /// Text of the component that comes last.
    pub fn with(mut self, text: &str) -> Guest {
        self.after += text;
        self
    }

    /// Text at the place of these bytes in memory.
    pub fn data(mut self, place: u32, bytes: &[u8]) -> Guest {
        let bytes: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        self.core += &format!("(data (i32.const {place}) \"{bytes}\")");
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let Guest { imports, passed_on, aliases, lowered, core, lifted, exports, after, kind } = self;
        // Imports come first in a core module, so the memory is one.
        let (imported, own): (Vec<&str>, Vec<&str>) =
            core.lines().partition(|line| line.trim_start().starts_with("(import "));
        let (imported, own) = (imported.join("\n"), own.join("\n"));
        binary(&format!(
            r#"(component
            {imports}
            (component $own
                {imports}
                (core module $memory-module {MEMORY})
                (core instance $memory (instantiate $memory-module))
                {aliases}
                (core module $m
                    (import "memory" "memory" (memory 1))
                    (import "memory" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
                    {imported}
                    {PAIR} {own})
                (core instance $i (instantiate $m
                    (with "memory" (instance $memory)) (with "imported" (instance {lowered}))))
                (func $run {kind} (param "payload" string) (result string) (canon lift (core func $i "run") {WITH_MEMORY}))
                (export "run" (func $run))
                {lifted})
            (instance $body (instantiate $own {passed_on}))
            {exports}
            (component $adapter
                (import "run" (func $run {kind} (param "payload" string) (result string)))
                (core module $memory-module {MEMORY})
                (core instance $memory (instantiate $memory-module))
                (core func $run-lowered (canon lower (func $run) {WITH_MEMORY}))
                (core module $m
                    (import "memory" "memory" (memory 1))
                    (import "run" "run" (func $run (param i32 i32 i32)))
                    (func (export "handle") (param i32) (result i32)
                        (call $run (i32.load offset=32 (local.get 0)) (i32.load offset=36 (local.get 0)) (i32.const 1040))
                        (i32.store8 (i32.const 1024) (i32.const 0))
                        (i32.store (i32.const 1028) (i32.load (i32.const 1040)))
                        (i32.store (i32.const 1032) (i32.load (i32.const 1044)))
                        (i32.const 1024)))
                (core instance $i (instantiate $m
                    (with "memory" (instance $memory)) (with "run" (instance (export "run" (func $run-lowered))))))
                {TYPES}
                (func $f {kind} {HANDLE} (canon lift (core func $i "handle") {WITH_MEMORY}))
                (export "handle" (func $f)))
            (instance $handler (instantiate $adapter (with "run" (func $body "run"))))
            (export "postroom:extension/handler@1.0.0" (instance $handler))
            {after})"#
        ))
    }
}

/// A name, as an identifier of the text format: `[method]cell.get` is `$method-cell-get`.
fn id_of(name: &str) -> String {
    let id: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    id.trim_matches('-').to_owned()
}

/// A component of its own with these types and core functions, exported as an interface: for types that need names.
pub fn library(interface: &str, types: &str, functions: &[(&str, &str)], core: &str) -> String {
    let id = id_of(interface);
    let lifted: String = functions
        .iter()
        .map(|(name, signature)| {
            format!(
                "(func $f-{name} {signature} (canon lift (core func $i \"{name}\") {WITH_MEMORY}))
                 (export \"{name}\" (func $f-{name}))"
            )
        })
        .collect();
    format!(
        r#"(component $made-{id}
            (core module $memory-module {MEMORY})
            (core instance $memory (instantiate $memory-module))
            (core module $m (import "memory" "memory" (memory 1)) {core})
            (core instance $i (instantiate $m (with "memory" (instance $memory))))
            {types} {lifted})
        (instance $instance-{id} (instantiate $made-{id}))
        (export "{interface}" (instance $instance-{id}))"#
    )
}

/// A host of these, none of which may be broken.
pub async fn host(configuration: &Configuration, guests: &[(&str, &Guest)]) -> ExtensionHost {
    let (host, broken) = host_and_broken(configuration, guests).await;
    assert_eq!(broken, []);
    host
}

pub async fn host_and_broken(configuration: &Configuration, guests: &[(&str, &Guest)]) -> (ExtensionHost, Vec<Broken>) {
    let folder = folder(guests);
    loaded(folder.0.path(), configuration).await
}

pub fn folder(guests: &[(&str, &Guest)]) -> Folder {
    let folder = Folder::new();
    for (name, guest) in guests {
        folder.put(&format!("{name}.wasm"), guest.bytes());
    }
    folder
}

pub async fn loaded(folder: &Path, configuration: &Configuration) -> (ExtensionHost, Vec<Broken>) {
    ExtensionHost::load(folder, configuration).await.unwrap()
}

/// One attempt at a message with this payload.
pub async fn attempt(host: &ExtensionHost, name: &str, payload: &str) -> Attempted {
    host.handle(name, call(payload), Arc::new(Nowhere)).await
}

pub async fn handled(host: &ExtensionHost, name: &str, payload: &str) -> Handled {
    attempt(host, name, payload).await.handled
}
