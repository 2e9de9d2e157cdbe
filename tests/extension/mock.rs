//! Components in text form, for tests: a handler is a few instructions, the rest of the component is written here.

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

pub const HANDLE: &str =
    r#"(param "message" $message) (param "delivery" $delivery) (result (result string (error $failure)))"#;

/// Every core module: a memory, an allocator that only goes up, and the ways to answer. Its own data begins at 2048, answers lie at 1024.
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
"#;

/// A component that exports this function of an interface.
pub struct Mock {
    interface: String,
    function: &'static str,
    signature: String,
    core: String,
}

/// A handler whose core function `handle` has this body: parameter 0 is the pointer to the parameters, the result one to the answer.
pub fn handler(body: &str) -> Mock {
    handler_in(&format!("{PRELUDE} (func (export \"handle\") (param i32) (result i32) {body})"))
}

/// A handler in a core module of its own making.
pub fn handler_in(core: &str) -> Mock {
    Mock {
        interface: "postroom:extension/handler@1.0.0".into(),
        function: "handle",
        signature: HANDLE.into(),
        core: core.into(),
    }
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
    Mock {
        interface: "postroom:extension/describe@1.0.0".into(),
        function: "describe",
        signature: "(result $about)".into(),
        core: format!("{PRELUDE} (func (export \"describe\") (result i32) {body})"),
    }
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

    pub fn with_signature(mut self, signature: &str) -> Mock {
        self.signature = signature.into();
        self
    }

    fn text(&self) -> String {
        let Mock { interface, function, signature, core } = self;
        format!(
            r#"
            (component $inner
                (core module $m {core})
                (core instance $i (instantiate $m))
                {TYPES}
                (func $f {signature}
                    (canon lift (core func $i "{function}") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
                (export "{function}" (func $f)))
            (instance $made (instantiate $inner))
            (export "{interface}" (instance $made))
            "#
        )
    }
}

/// The bytes of a component that is made of these, and of whatever else is put before them.
pub fn component(before: &str, mocks: &[Mock]) -> Vec<u8> {
    // Each in a component of its own, so that the names inside do not meet.
    let exports: String = mocks
        .iter()
        .enumerate()
        .map(|(n, mock)| mock.text().replace("$inner", &format!("$inner{n}")).replace("$made", &format!("$made{n}")))
        .collect();
    binary(&format!("(component {before} {exports})"))
}

pub fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
