//! Components in text form, for tests: a handler is a few instructions, the rest of the component is written here.
//!
//! A component is made of mocks, one for each interface that it exports:
//!
//! ```ignore
//! let adder = component("", &[replying("1"), library("my:math/lib@1.0.0", &[(ADD, "(i32.add (local.get 0) (local.get 1))")])]);
//! let caller = component("", &[handler("(call $reply_number (call $add (i32.const 2) (i32.const 3)))").importing("my:math/lib@1.0.0", &[ADD])]);
//! ```
//!
//! Put both into a folder as `adder.wasm` and `caller.wasm`, load it, and a message to `caller` is answered with `5`.
//!
//! Absent on purpose: functions of the imported and exported libraries take and give plain numbers only. What has strings or lists in
//! it is quicker written in a language that knows them.

pub mod misbehaving;

use std::collections::BTreeSet;

/// Where the parts of the parameters of `handle` lie in the guest's memory (see the canonical ABI), from the one pointer it gets.
pub mod at {
    pub const ID: u32 = 0;
    pub const SENDER: u32 = 8;
    pub const RECIPIENT: u32 = 16;
    pub const ACTION: u32 = 24;
    pub const PAYLOAD: u32 = 32;
    pub const ERROR_CODE: u32 = 44;
    pub const ERROR_MESSAGE: u32 = 52;
    pub const ERROR_DETAILS: u32 = 64;
    pub const IN_REPLY_TO: u32 = 84;
    pub const CORRELATION_ID: u32 = 96;
    pub const KEY_ID: u32 = 152;
}

/// Types, as `wit/types.wit` has them, exported so that the functions of the instance may use them.
pub const TYPES: &str = r#"
    (type $error-reply-0 (record (field "code" string) (field "message" string) (field "details" (option string))))
    (export $error-reply "error-reply" (type $error-reply-0))
    (type $message-0 (record
        (field "id" string) (field "sender" string) (field "recipient" string) (field "action" string)
        (field "payload" string) (field "error" (option $error-reply)) (field "timestamp" s64)
        (field "in-reply-to" (option string)) (field "correlation-id" (option string)) (field "expires-at" (option s64))
        (field "others" (list (tuple string string)))))
    (export $message "message" (type $message-0))
    (type $trust-0 (enum "signed" "unsigned"))
    (export $trust "trust" (type $trust-0))
    (type $delivery-0 (record
        (field "accepted-at" s64) (field "attempt" u32) (field "hops" u32) (field "trust" $trust)
        (field "key-id" (option string)) (field "deadline-ms" u32)))
    (export $delivery "delivery" (type $delivery-0))
    (type $retry-0 (enum "later" "final"))
    (export $retry "retry" (type $retry-0))
    (type $failure-0 (record
        (field "code" string) (field "message" string) (field "details" (option string)) (field "retry" $retry)))
    (export $failure "failure" (type $failure-0))
    (type $about-0 (record
        (field "version" string) (field "description" string) (field "actions" (list string)) (field "capabilities" (list string))))
    (export $about "about" (type $about-0))
"#;

/// A function of numbers: what a library offers, or what is imported from one.
#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    /// Types of WIT: `bool`, `char`, integers up to 64 bits, `f32`, `f64`, `(result)`. The parameters are named `a`, `b`, `c`...
    pub parameters: &'static [&'static str],
    pub result: Option<&'static str>,
}

impl Function {
    /// As a component says it.
    fn signature(&self) -> String {
        let names = 'a'..='z';
        let parameters = names.zip(self.parameters).map(|(name, ty)| format!("(param \"{name}\" {ty})"));
        parameters.chain(self.result.map(|ty| format!("(result {ty})"))).collect()
    }

    /// As a core module says it.
    fn core_signature(&self) -> String {
        let core = |ty: &str| match ty {
            "s64" | "u64" => "i64",
            "f32" => "f32",
            "f64" => "f64",
            "bool" | "char" | "s8" | "u8" | "s16" | "u16" | "s32" | "u32" | "(result)" => "i32",
            other => panic!("{other} is not a number"),
        };
        let parameters = self.parameters.iter().map(|ty| format!("(param {})", core(ty)));
        parameters.chain(self.result.map(|ty| format!("(result {})", core(ty)))).collect()
    }
}

pub const HANDLE: &str =
    r#"(param "message" $message) (param "delivery" $delivery) (result (result string (error $failure)))"#;

/// Every core module: a memory, an allocator that only goes up, and the ways to answer: with a text, or with an integer that is not
/// negative. Its own data begins at 2048, answers lie at 1024.
const PRELUDE: &str = r#"
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
    (func $reply (param $text i32) (param $length i32) (result i32)
        (i32.store8 (i32.const 1024) (i32.const 0))
        (i32.store (i32.const 1028) (local.get $text))
        (i32.store (i32.const 1032) (local.get $length))
        (i32.const 1024))
    (func $reply_number (param $number i32) (result i32)
        (local $place i32)
        (local.set $place (i32.const 2048))
        (loop $next
            (local.set $place (i32.sub (local.get $place) (i32.const 1)))
            (i32.store8 (local.get $place)
                (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
            (local.set $number (i32.div_u (local.get $number) (i32.const 10)))
            (br_if $next (local.get $number)))
        (call $reply (local.get $place) (i32.sub (i32.const 2048) (local.get $place))))
"#;

/// An interface that a component exports, and what it imports for that.
pub struct Mock {
    interface: String,
    /// Name and signature.
    functions: Vec<(&'static str, String)>,
    imports: Vec<(String, Vec<Function>)>,
    core: String,
}

impl Mock {
    fn new(interface: &str, functions: Vec<(&'static str, String)>, core: String) -> Mock {
        Mock { interface: interface.into(), functions, imports: Vec::new(), core }
    }
}

/// A handler whose core function `handle` has this body: parameter 0 is the pointer to the parameters, the result one to the answer.
pub fn handler(body: &str) -> Mock {
    handler_in(&format!("{PRELUDE} (func (export \"handle\") (param i32) (result i32) {body})"))
}

/// A handler in a core module of its own making.
pub fn handler_in(core: &str) -> Mock {
    Mock::new("postroom:extension/handler@1.0.0", vec![("handle", HANDLE.into())], core.into())
}

/// A library: each function with the instructions that are its body.
pub fn library(interface: &str, functions: &[(Function, &str)]) -> Mock {
    let bodies: String = functions
        .iter()
        .map(|(function, body)| format!("(func (export \"{}\") {} {body})", function.name, function.core_signature()))
        .collect();
    let functions = functions.iter().map(|(function, _)| (function.name, function.signature())).collect();
    Mock::new(interface, functions, format!("{PRELUDE} {bodies}"))
}

/// An `init` whose core function has this body: the result is a pointer to success or failure.
pub fn starting(body: &str) -> Mock {
    Mock::new(
        "postroom:extension/init@1.0.0",
        vec![("init", "(result (result (error $failure)))".into())],
        format!("{PRELUDE} (func (export \"init\") (result i32) {body})"),
    )
}

/// A handler that replies with this text, whatever it is.
pub fn replying(text: &str) -> Mock {
    handler(&format!("(call $reply (i32.const 2048) (i32.const {}))", text.len())).with_data(2048, text)
}

/// A handler that replies with the string at this place of its parameters.
pub fn replying_with(place: u32) -> Mock {
    handler(&format!(
        "(call $reply (i32.load offset={place} (local.get 0)) (i32.load offset={} (local.get 0)))",
        place + 4
    ))
}

/// A `describe` whose core function has this body: the result is a pointer to the record.
pub fn describing(body: &str) -> Mock {
    Mock::new(
        "postroom:extension/describe@1.0.0",
        vec![("describe", "(result $about)".into())],
        format!("{PRELUDE} (func (export \"describe\") (result i32) {body})"),
    )
}

/// A `describe` with this version, no description, this one action and this one capability.
pub fn described(version: &str, action: &str, capability: &str) -> Mock {
    let mut strings = String::new();
    let mut store = |place: u32, text: u32, length: usize| {
        strings += &format!("(i32.store (i32.const {place}) (i32.const {text}))");
        strings += &format!("(i32.store (i32.const {}) (i32.const {length}))", place + 4);
    };
    // The record: four pairs of pointer and length. The lists point to one pair each.
    store(1024, 2048, version.len());
    store(1040, 1064, 1);
    store(1048, 1072, 1);
    store(1064, 3072, action.len());
    store(1072, 4096, capability.len());
    describing(&format!("{strings} (i32.const 1024)"))
        .with_data(2048, version)
        .with_data(3072, action)
        .with_data(4096, capability)
}

impl Mock {
    pub fn with_data(mut self, place: u32, text: &str) -> Mock {
        let bytes: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        self.core += &format!("(data (i32.const {place}) \"{bytes}\")");
        self
    }

    pub fn of_interface(mut self, interface: &str) -> Mock {
        self.interface = interface.into();
        self
    }

    /// Another signature for all of its functions; what the core functions take must fit it.
    pub fn with_signature(mut self, signature: &str) -> Mock {
        for (_, own) in &mut self.functions {
            *own = signature.into();
        }
        self
    }

    /// Imports functions of numbers from an interface. In instructions they are called by their names: `(call $add ...)`.
    pub fn importing(mut self, interface: &str, functions: &[Function]) -> Mock {
        self.imports.push((interface.into(), functions.to_vec()));
        self
    }

    /// A component of its own inside, so that the names of several mocks do not meet.
    fn text(&self, number: usize) -> String {
        let Mock { interface, functions, imports, core } = self;
        let mut wiring = Wiring::default();
        for (interface, functions) in imports {
            wiring.add(interface, functions);
        }
        let Wiring { imports, arguments, lowered, core_imports, passed } = wiring;
        let lifted: String = functions
            .iter()
            .map(|(name, signature)| {
                format!(
                    r#"(func $lifted-{name} {signature} (canon lift (core func $i "{name}")
                        (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
                    (export "{name}" (func $lifted-{name}))"#
                )
            })
            .collect();
        format!(
            r#"
            (component $inner-{number}
                {imports}
                {lowered}
                (core module $m {core_imports} {core})
                (core instance $library {passed})
                (core instance $i (instantiate $m (with "library" (instance $library))))
                {TYPES}
                {lifted})
            (instance $made-{number} (instantiate $inner-{number} {arguments}))
            (export "{interface}" (instance $made-{number}))
            "#
        )
    }
}

/// How imported functions get from the outside of a component into its core module.
#[derive(Default)]
struct Wiring {
    imports: String,
    arguments: String,
    lowered: String,
    core_imports: String,
    passed: String,
}

impl Wiring {
    fn add(&mut self, interface: &str, functions: &[Function]) {
        self.imports += &import(interface, functions);
        self.arguments += &format!("(with \"{interface}\" (instance ${interface}))");
        for function in functions {
            let (name, signature) = (function.name, function.core_signature());
            self.lowered += &format!("(core func $lowered-{name} (canon lower (func ${interface} \"{name}\")))");
            self.core_imports += &format!("(import \"library\" \"{name}\" (func ${name} {signature}))");
            self.passed += &format!("(export \"{name}\" (func $lowered-{name}))");
        }
    }
}

/// The name of an interface is its identifier, too.
fn import(interface: &str, functions: &[Function]) -> String {
    let exports: String = functions
        .iter()
        .map(|function| format!("(export \"{}\" (func {}))", function.name, function.signature()))
        .collect();
    format!("(import \"{interface}\" (instance ${interface} {exports}))")
}

/// The bytes of a component that is made of these, and of whatever else is put before them.
pub fn component(before: &str, mocks: &[Mock]) -> Vec<u8> {
    let imports: BTreeSet<String> = mocks
        .iter()
        .flat_map(|mock| &mock.imports)
        .map(|(interface, functions)| import(interface, functions))
        .collect();
    let imports: String = imports.into_iter().collect();
    let exports: String = mocks.iter().enumerate().map(|(number, mock)| mock.text(number)).collect();
    binary(&format!("(component {imports} {before} {exports})"))
}

pub fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
