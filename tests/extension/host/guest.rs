//! Components in text form that import what the service offers: a test writes the few instructions that count, the rest is written here.
//!
//! A literal is put into the guest's memory by [`Guest::text`]. What a host function returns lies at 512 ([`AREA`]), and because
//! `result<string, failure>` looks the same everywhere, a handler may return that as its own answer.

pub use super::interfaces::*;

/// Where host functions put what they return.
pub const AREA: u32 = 512;

/// Returns from a handler what a host function refused.
pub const UNLESS_REFUSED: &str = "(if (i32.load8_u (i32.const 512)) (then (return (i32.const 512))))";

/// Literals lie from here.
const TEXTS: u32 = 2048;
/// What is allocated lies from here.
const HEAP: u32 = 16_384;

/// What every core module of a guest has: a memory, and an allocator that only goes up.
const MEMORY: &str = r#"
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const HEAP))
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

/// Ways to answer: the pointer to `ok` with a text, and to `err` with a code and a text.
const ANSWERS: &str = r#"
    (func $ok (param $text i32) (param $length i32) (result i32)
        (i32.store8 (i32.const 1024) (i32.const 0))
        (i32.store (i32.const 1028) (local.get $text))
        (i32.store (i32.const 1032) (local.get $length))
        (i32.const 1024))
    (func $err (param $code i32) (param $length i32) (result i32)
        (i32.store8 (i32.const 1024) (i32.const 1))
        (i32.store (i32.const 1028) (local.get $code))
        (i32.store (i32.const 1032) (local.get $length))
        (i32.store (i32.const 1036) (local.get $code))
        (i32.store (i32.const 1040) (local.get $length))
        (i32.store8 (i32.const 1044) (i32.const 0))
        (i32.store8 (i32.const 1056) (i32.const 1))
        (i32.const 1024))
"#;

/// The types of the functions that the service calls.
const TYPES: &str = r#"
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
"#;

/// A component in the making.
pub struct Guest {
    /// Names and declarations.
    imports: Vec<(String, String)>,
    /// Imports as they are.
    by_hand: String,
    /// Core functions: name in the guest, where it is from, core type.
    lowered: Vec<(String, String, String)>,
    core: String,
    texts: Vec<(u32, String)>,
    next_text: u32,
    exports: Vec<Export>,
}

impl Guest {
    pub fn new() -> Guest {
        Guest {
            imports: vec![],
            by_hand: String::new(),
            lowered: vec![],
            core: String::new(),
            texts: vec![],
            next_text: TEXTS,
            exports: vec![],
        }
    }

    /// Imports an interface of the service. Its functions are `$bus.send` and so on.
    pub fn importing(self, interface: &Interface) -> Guest {
        self.importing_as(interface.name, interface)
    }

    /// The same interface under another name, such as another version.
    pub fn importing_as(self, name: &str, interface: &Interface) -> Guest {
        let short = interface.name.split(['/', '@']).nth(1).unwrap();
        let needs_failure = interface.declarations.contains("failure");
        let declarations = [if needs_failure { FAILURE } else { "" }, interface.declarations].concat();
        self.importing_functions(name, short, &declarations, interface.functions)
    }

    /// Any interface; its functions are `$SHORT.NAME`.
    pub fn importing_functions(
        mut self,
        name: &str,
        short: &str,
        declarations: &str,
        functions: &[(&str, &str)],
    ) -> Guest {
        let index = self.imports.len();
        self.imports.push((name.to_owned(), declarations.to_owned()));
        for (function, ty) in functions {
            let from = format!("(func $i{index} \"{function}\")");
            self.lowered.push((format!("{short}.{function}"), from, (*ty).to_owned()));
        }
        self
    }

    /// Imports of interfaces that use types of each other, which leave these functions: name of the component function, and the core type.
    pub fn importing_by_hand(mut self, imports: &str, functions: &[(&str, &str)]) -> Guest {
        self.by_hand += imports;
        for (function, ty) in functions {
            self.lowered.push(((*function).to_owned(), format!("(func ${function})"), (*ty).to_owned()));
        }
        self
    }

    /// Puts a text into the guest's memory: pointer and length, as two core values.
    pub fn text(&mut self, text: &str) -> String {
        let (at, length) = self.placed(text);
        format!("(i32.const {at}) (i32.const {length})")
    }

    /// The same, as two numbers.
    pub fn placed(&mut self, text: &str) -> (u32, usize) {
        let at = self.next_text;
        self.next_text += text.len() as u32;
        assert!(self.next_text < HEAP, "the texts of a guest have an end");
        self.texts.push((at, text.to_owned()));
        (at, text.len())
    }

    /// Instructions that send a message to one recipient, and return from the handler where that fails.
    pub fn sending(&mut self, recipient: &str, action: &str, payload: &str) -> String {
        let texts = [recipient, action, payload].map(|text| self.placed(text));
        // The list of recipients lies at 128, the record at 256: a list and two texts, then options, all none.
        let places = [128, 264, 272];
        let store = |(place, (at, length)): (u32, (u32, usize))| {
            format!(
                "(i32.store (i32.const {place}) (i32.const {at})) (i32.store offset=4 (i32.const {place}) (i32.const {length}))"
            )
        };
        let stores: String = places.into_iter().zip(texts).map(store).collect();
        format!(
            "{stores} (i32.store (i32.const 256) (i32.const 128)) (i32.store (i32.const 260) (i32.const 1))
             (call $bus.send (i32.const 256) (i32.const {AREA})) {UNLESS_REFUSED}"
        )
    }

    /// The handler: parameter 0 is the pointer to the parameters, the result one to the answer.
    pub fn handling(mut self, body: &str) -> Guest {
        self.core += &format!("(func (export \"handle\") (param i32) (result i32) {body})");
        let ty = r#"(param "message" $message) (param "delivery" $delivery) (result (result string (error $failure)))"#;
        self.export("postroom:extension/handler@1.0.0", TYPES, vec![("handle".into(), ty.into())])
    }

    /// `init.init`: the result is a pointer to `result<_, failure>`.
    pub fn initialising(mut self, body: &str) -> Guest {
        self.core += &format!("(func (export \"init\") (result i32) {body})");
        let ty = "(result (result (error $failure)))";
        self.export("postroom:extension/init@1.0.0", TYPES, vec![("init".into(), ty.into())])
    }

    /// An interface of its own. Each function has its name, its type, and its core function without a name.
    pub fn exporting(mut self, name: &str, types: &str, functions: &[(&str, &str, &str)]) -> Guest {
        for (function, _, core) in functions {
            self.core += &format!("(func (export \"{function}\") {core})");
        }
        let functions = functions.iter().map(|(name, ty, _)| ((*name).to_owned(), (*ty).to_owned())).collect();
        self.export(name, types, functions)
    }

    fn export(mut self, interface: &str, types: &str, functions: Vec<(String, String)>) -> Guest {
        self.exports.push(Export { interface: interface.into(), types: types.into(), functions });
        self
    }

    /// The bytes of the component.
    pub fn component(self) -> Vec<u8> {
        super::super::mock::binary(&self.to_text())
    }

    /// The same in text form, to be edited.
    pub fn text_of_component(self) -> String {
        self.to_text()
    }

    fn to_text(&self) -> String {
        let import =
            |(n, (name, types)): (usize, &(String, String))| format!("(import \"{name}\" (instance $i{n} {types}))\n");
        let imports: String = self.imports.iter().enumerate().map(import).collect();
        let instances: String = self.exports.iter().enumerate().map(|(n, export)| export.instance(n)).collect();
        format!("(component $outer {imports} {} {} {} {instances})", self.by_hand, self.core_text(), self.lifted())
    }

    /// The core modules: the memory is there before the functions that are lowered into it.
    fn core_text(&self) -> String {
        let Guest { lowered, core, texts, .. } = self;
        let memory = MEMORY.replace("HEAP", &HEAP.to_string());
        let [mut lower, mut import, mut give, mut data] = [const { String::new() }; 4];
        for (n, (name, from, ty)) in lowered.iter().enumerate() {
            lower += &format!(
                "(core func $l{n} (canon lower {from}
                    (memory (core memory $memory \"memory\")) (realloc (core func $memory \"realloc\"))))\n"
            );
            import += &format!("(import \"host\" \"{n}\" (func ${name} {ty}))\n");
            give += &format!("(export \"{n}\" (func $l{n}))");
        }
        for (at, text) in texts {
            let bytes: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
            data += &format!("(data (i32.const {at}) \"{bytes}\")\n");
        }
        format!(
            "(core module $memory-module {memory})
            (core instance $memory (instantiate $memory-module))
            {lower}
            (core module $main-module
                {import}
                (import \"memory\" \"memory\" (memory 2))
                (import \"memory\" \"realloc\" (func $realloc (param i32 i32 i32 i32) (result i32)))
                {ANSWERS} {core} {data})
            (core instance $host {give})
            (core instance $main (instantiate $main-module
                (with \"memory\" (instance $memory)) (with \"host\" (instance $host))))"
        )
    }

    /// The types of all exports, and their functions.
    fn lifted(&self) -> String {
        let mut out = String::new();
        for Export { types, functions, .. } in &self.exports {
            if !out.contains(types.as_str()) {
                out += types;
            }
            for (function, ty) in functions {
                out += &format!(
                    "(func ${function} {ty} (canon lift (core func $main \"{function}\")
                        (memory (core memory $memory \"memory\")) (realloc (core func $memory \"realloc\"))))\n"
                );
            }
        }
        out
    }
}

struct Export {
    interface: String,
    types: String,
    /// With their types.
    functions: Vec<(String, String)>,
}

impl Export {
    /// An instance with these functions and the types that they use, exported.
    fn instance(&self, n: usize) -> String {
        let Export { interface, types, functions } = self;
        // A type that has a name for others is written `(export $name "name" (type`.
        let named = types.split("(export $").skip(1).filter_map(|rest| rest.split('"').nth(1));
        let types: String = named.map(|name| format!("(export \"{name}\" (type ${name}))")).collect();
        let functions: String =
            functions.iter().map(|(name, _)| format!("(export \"{name}\" (func ${name}))")).collect();
        format!("(instance $e{n} {types} {functions}) (export \"{interface}\" (instance $e{n}))\n")
    }
}
