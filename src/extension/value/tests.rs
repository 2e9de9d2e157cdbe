use std::sync::LazyLock;

use proptest::prelude::*;
use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Val};

use super::{arguments, is_expressible, result};

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::default);

/// The type of the function `f` in an interface with these declarations.
fn function(declarations: &str) -> ComponentFunc {
    let text = format!("(component (import \"t:t/t\" (instance {declarations})))");
    let component = Component::new(&ENGINE, &text).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
    let ty = component.component_type();
    let (_, import) = ty.imports(&ENGINE).next().unwrap();
    let ComponentItem::ComponentInstance(instance) = import.ty else { panic!("an instance is imported") };
    let item = instance.get_export(&ENGINE, "f").unwrap();
    let ComponentItem::ComponentFunc(function) = item.ty else { panic!("`f` is a function") };
    function
}

/// A function of one parameter and the same result.
fn identity(ty: &Ty) -> ComponentFunc {
    let mut declarations = String::new();
    let name = ty.declare(&mut declarations);
    function(&format!("{declarations} (export \"f\" (func (param \"x\" {name}) (result {name})))"))
}

/// A type, as far as it has JSON.
#[derive(Clone, Debug)]
enum Ty {
    Plain(&'static str),
    List(Box<Ty>),
    Option(Box<Ty>),
    Tuple(Vec<Ty>),
    Record(Vec<Ty>),
    Variant(Vec<Option<Ty>>),
    Result(Option<Box<Ty>>, Option<Box<Ty>>),
    Enum(usize),
    Flags(usize),
}

const PLAIN: [&str; 13] =
    ["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "float32", "float64", "char", "string"];

impl Ty {
    /// How the type is referred to after these declarations.
    fn declare(&self, out: &mut String) -> String {
        let text = match self {
            Ty::Plain(name) => return (*name).to_owned(),
            Ty::List(ty) => format!("(list {})", ty.declare(out)),
            Ty::Option(ty) => format!("(option {})", ty.declare(out)),
            Ty::Tuple(types) => {
                let types: Vec<String> = types.iter().map(|ty| ty.declare(out)).collect();
                format!("(tuple {})", types.join(" "))
            }
            Ty::Record(types) => {
                let named = types.iter().enumerate().map(|(n, ty)| format!("(field \"n{n}\" {})", ty.declare(out)));
                format!("(record {})", named.collect::<String>())
            }
            Ty::Variant(cases) => {
                let mut case = |(n, ty): (usize, &Option<Ty>)| match ty {
                    Some(ty) => format!("(case \"n{n}\" {})", ty.declare(out)),
                    None => format!("(case \"n{n}\")"),
                };
                let cases: String = cases.iter().enumerate().map(&mut case).collect();
                format!("(variant {cases})")
            }
            Ty::Result(ok, err) => {
                let ok = ok.as_ref().map(|ty| ty.declare(out)).unwrap_or_default();
                let err = err.as_ref().map(|ty| format!("(error {})", ty.declare(out))).unwrap_or_default();
                format!("(result {ok} {err})")
            }
            Ty::Enum(cases) => format!("(enum {})", names(*cases)),
            Ty::Flags(flags) => format!("(flags {})", names(*flags)),
        };
        let number = out.matches("(type $").count();
        out.push_str(&format!("(type $t{number} {text})"));
        match self {
            // Types of this kind must have a name before a function may use them.
            Ty::Record(_) | Ty::Variant(_) | Ty::Enum(_) | Ty::Flags(_) => {
                out.push_str(&format!("(export \"e{number}\" (type $e{number} (eq $t{number})))"));
                format!("$e{number}")
            }
            Ty::Plain(_) | Ty::List(_) | Ty::Option(_) | Ty::Tuple(_) | Ty::Result(_, _) => format!("$t{number}"),
        }
    }

    fn values(&self) -> BoxedStrategy<Val> {
        fn boxed(ty: &Option<Box<Ty>>) -> BoxedStrategy<Option<Box<Val>>> {
            match ty {
                Some(ty) => ty.values().prop_map(|value| Some(Box::new(value))).boxed(),
                None => Just(None).boxed(),
            }
        }
        match self {
            Ty::Plain(name) => plain(name),
            Ty::List(ty) => prop::collection::vec(ty.values(), 0..4).prop_map(Val::List).boxed(),
            Ty::Option(ty) => prop::option::of(ty.values()).prop_map(|value| Val::Option(value.map(Box::new))).boxed(),
            Ty::Tuple(types) => types.iter().map(Ty::values).collect::<Vec<_>>().prop_map(Val::Tuple).boxed(),
            Ty::Record(types) => {
                let values: Vec<_> = types.iter().map(Ty::values).collect();
                let named = |(n, value)| (format!("n{n}"), value);
                values.prop_map(move |values| Val::Record(values.into_iter().enumerate().map(named).collect())).boxed()
            }
            Ty::Variant(cases) => {
                let cases = cases.clone();
                (0..cases.len())
                    .prop_flat_map(move |n| {
                        let value = boxed(&cases[n].clone().map(Box::new));
                        value.prop_map(move |value| Val::Variant(format!("n{n}"), value))
                    })
                    .boxed()
            }
            Ty::Result(ok, err) => prop_oneof![
                boxed(ok).prop_map(|value| Val::Result(Ok(value))),
                boxed(err).prop_map(|value| Val::Result(Err(value))),
            ]
            .boxed(),
            Ty::Enum(cases) => (0..*cases).prop_map(|n| Val::Enum(format!("n{n}"))).boxed(),
            Ty::Flags(flags) => {
                let set = prop::collection::vec(any::<bool>(), *flags);
                set.prop_map(|set| {
                    let names = set.into_iter().enumerate().filter(|(_, set)| *set).map(|(n, _)| format!("n{n}"));
                    Val::Flags(names.collect())
                })
                .boxed()
            }
        }
    }
}

fn names(count: usize) -> String {
    (0..count).map(|n| format!("\"n{n}\" ")).collect()
}

fn plain(name: &str) -> BoxedStrategy<Val> {
    match name {
        "bool" => any::<bool>().prop_map(Val::Bool).boxed(),
        "s8" => any::<i8>().prop_map(Val::S8).boxed(),
        "u8" => any::<u8>().prop_map(Val::U8).boxed(),
        "s16" => any::<i16>().prop_map(Val::S16).boxed(),
        "u16" => any::<u16>().prop_map(Val::U16).boxed(),
        "s32" => any::<i32>().prop_map(Val::S32).boxed(),
        "u32" => any::<u32>().prop_map(Val::U32).boxed(),
        "s64" => any::<i64>().prop_map(Val::S64).boxed(),
        "u64" => any::<u64>().prop_map(Val::U64).boxed(),
        "float32" => any::<u32>().prop_map(|bits| Val::Float32(f32::from_bits(bits))).boxed(),
        "float64" => any::<u64>().prop_map(|bits| Val::Float64(f64::from_bits(bits))).boxed(),
        "char" => any::<char>().prop_map(Val::Char).boxed(),
        "string" => any::<String>().prop_map(Val::String).boxed(),
        other => panic!("{other} is no plain type"),
    }
}

fn types() -> impl Strategy<Value = Ty> {
    let leaf = prop_oneof![
        8 => prop::sample::select(&PLAIN[..]).prop_map(Ty::Plain),
        1 => (1..5_usize).prop_map(Ty::Enum),
        1 => (1..33_usize).prop_map(Ty::Flags),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Ty::List),
            boxed().prop_map(Ty::Option),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Ty::Tuple),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Ty::Record),
            prop::collection::vec(prop::option::of(inner.clone()), 1..4).prop_map(Ty::Variant),
            (prop::option::of(boxed()), prop::option::of(boxed())).prop_map(|(ok, err)| Ty::Result(ok, err)),
        ]
    })
}

/// A type, and a value of it.
fn typed_values() -> impl Strategy<Value = (Ty, Val)> {
    types().prop_flat_map(|ty| {
        let values = ty.values();
        (Just(ty), values)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read_again_as_the_same((ty, value) in typed_values()) {
        let function = identity(&ty);
        prop_assert_eq!(is_expressible(&function), Ok(()));
        let text = result(&function, std::slice::from_ref(&value)).unwrap();
        let read = arguments(&function, &format!("[{text}]"));
        prop_assert_eq!(read, Ok(vec![value]), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(ty in types(), text in "[\\[{][\\[\\]{}\":,0-9a-z ]{0,24}[\\]}]") {
        let _ = arguments(&identity(&ty), &text);
    }
}

/// What becomes of `text` as the one parameter of this type, as text again.
fn through(ty: &Ty, text: &str) -> Result<String, String> {
    let function = identity(ty);
    arguments(&function, &format!("[{text}]")).map(|values| result(&function, &values).unwrap())
}

fn option(ty: Ty) -> Ty {
    Ty::Option(Box::new(ty))
}

#[test]
fn each_type_is_written_as_the_contract_says() {
    use Ty::Plain as P;
    let variant = Ty::Variant(vec![None, Some(P("u8"))]);
    let nothing = Ty::Result(None, None);
    for (ty, text) in [
        (P("bool"), "true"),
        (P("s8"), "-128"),
        (P("u64"), "9007199254740991"),
        (P("u64"), "\"9007199254740992\""),
        (P("s64"), "\"-9223372036854775808\""),
        (P("float64"), "0.1"),
        (P("float64"), "\"-Infinity\""),
        (P("float32"), "\"NaN\""),
        (P("char"), "\"ä\""),
        (P("string"), r#""a\"\n""#),
        (Ty::List(Box::new(P("u8"))), "[1,2,3]"),
        (Ty::Tuple(vec![P("u8"), P("string")]), r#"[1,"x"]"#),
        (Ty::Record(vec![P("u8"), option(P("u8"))]), r#"{"n0":1,"n1":null}"#),
        (variant.clone(), "\"n0\""),
        (variant, r#"{"n1":7}"#),
        (Ty::Enum(2), "\"n1\""),
        (Ty::Flags(3), r#"["n0","n2"]"#),
        (option(P("u8")), "null"),
        (option(P("u8")), "3"),
        (option(option(P("u8"))), "[]"),
        (option(option(P("u8"))), "[null]"),
        (option(option(P("u8"))), "[3]"),
        (option(option(option(P("u8")))), "[[null]]"),
        (Ty::Result(Some(Box::new(P("u8"))), None), r#"{"ok":1}"#),
        (Ty::Result(Some(Box::new(P("u8"))), None), r#"{"err":null}"#),
        (nothing, r#"{"ok":null}"#),
    ] {
        assert_eq!(through(&ty, text).as_deref(), Ok(text), "{ty:?}");
    }
    // Other spellings of the same.
    assert_eq!(through(&P("u64"), "\"7\"").as_deref(), Ok("7"));
    assert_eq!(through(&P("float64"), "1e2").as_deref(), Ok("100.0"));
    assert_eq!(through(&Ty::Record(vec![option(P("u8"))]), "{}").as_deref(), Ok(r#"{"n0":null}"#));
    assert_eq!(through(&Ty::Record(vec![P("u8"), P("u8")]), r#"{"n1":2,"n0":1}"#).as_deref(), Ok(r#"{"n0":1,"n1":2}"#));
    assert_eq!(through(&Ty::Flags(3), r#"["n2","n0"]"#).as_deref(), Ok(r#"["n2","n0"]"#));
}

#[test]
fn an_error_names_the_place_and_what_is_wrong_there() {
    use Ty::Plain as P;
    let record = Ty::Record(vec![P("u8"), Ty::List(Box::new(P("string")))]);
    for (ty, text, error) in [
        (
            P("u8"),
            "256",
            "arguments[0]: must be a whole number within u8, written with digits alone, but is a number (256)",
        ),
        (
            P("u8"),
            "1.0",
            "arguments[0]: must be a whole number within u8, written with digits alone, but is a number (1.0)",
        ),
        (
            P("u32"),
            "\"7\"",
            "arguments[0]: must be a whole number within u32, written with digits alone, but is a string (\"7\")",
        ),
        (
            P("u64"),
            "\"007\"",
            "arguments[0]: must be a whole number within u64, written with digits alone, but is a string (\"007\")",
        ),
        (P("float32"), "1e39", "arguments[0]: must be a number that is not too big, but is a number (1e39)"),
        (
            P("float64"),
            "\"inf\"",
            "arguments[0]: must be a number, \"NaN\", \"Infinity\" or \"-Infinity\", but is a string (\"inf\")",
        ),
        (P("char"), "\"ab\"", "arguments[0]: must be a string of one character, but is a string (\"ab\")"),
        (P("string"), "null", "arguments[0]: must be a string, but is null"),
        (record.clone(), r#"{"n0":1,"n1":["x",2]}"#, "arguments[0].n1[1]: must be a string, but is a number (2)"),
        (record.clone(), r#"{"n0":1}"#, "arguments[0]: the field \"n1\" is missing"),
        (record, r#"{"n0":1,"n1":[],"n10":2}"#, "arguments[0]: there is no field \"n10\"; did you mean \"n1\"?"),
        (Ty::Enum(2), "\"x\"", "arguments[0]: there is no case \"x\"; there are n0, n1"),
        (Ty::Flags(2), r#"["n0","n0"]"#, "arguments[0][1]: the flag \"n0\" is there twice"),
        (Ty::Tuple(vec![P("u8")]), "[1,2]", "arguments[0]: must have 1 elements, but has 2"),
        (
            Ty::Variant(vec![None]),
            r#"{"n0":null}"#,
            "arguments[0]: the case \"n0\" has no value; write it as the string \"n0\"",
        ),
        (
            Ty::Variant(vec![Some(P("u8"))]),
            "\"n0\"",
            "arguments[0]: the case \"n0\" needs a value, as in {\"n0\": ...}",
        ),
        (
            Ty::Variant(vec![Some(P("u8"))]),
            r#"{"n0":true}"#,
            "arguments[0].n0: must be a whole number within u8, written with digits alone, but is a boolean (true)",
        ),
        (
            Ty::Variant(vec![None]),
            "{}",
            "arguments[0]: must be a string, or an object with a case as its only name, but has 0 names",
        ),
        (
            Ty::Result(None, None),
            r#"{"ok":1}"#,
            "arguments[0].ok: must be null, as there is no value here, but is a number (1)",
        ),
        (
            Ty::Result(None, None),
            r#"{"no":null}"#,
            "arguments[0]: must be an object with \"ok\" or \"err\" as its only name, but has \"no\"",
        ),
        (
            Ty::Result(None, None),
            "\"ok\"",
            "arguments[0]: must be an object with \"ok\" or \"err\" as its only name, but is a string (\"ok\")",
        ),
        (option(option(P("u8"))), "null", "arguments[0]: must be an array of none or one, but is null"),
        (option(option(P("u8"))), "[1,2]", "arguments[0]: must have none or one element, but has 2"),
    ] {
        assert_eq!(through(&ty, text), Err(error.to_owned()), "{ty:?}");
    }
}

#[test]
fn the_arguments_are_one_strict_array_with_an_element_for_each_parameter() {
    let two = function("(export \"f\" (func (param \"a\" u8) (param \"b\" u8)))");
    assert_eq!(arguments(&two, " [1, 2] "), Ok(vec![Val::U8(1), Val::U8(2)]));
    assert_eq!(arguments(&two, "[1]").unwrap_err(), "arguments: must have 2 elements, but has 1");
    assert_eq!(arguments(&two, "{}").unwrap_err(), "arguments: must be an array, but are an object");
    for bad in ["", "[1,2", "[1,2]x", "[1,2,]", "[9007199254740993,1]"] {
        assert!(arguments(&two, bad).unwrap_err().starts_with("arguments: not strict JSON: "), "{bad}");
    }
    let none = function("(export \"f\" (func))");
    assert_eq!(arguments(&none, "[]"), Ok(vec![]));
    assert_eq!(result(&none, &[]).as_deref(), Ok("null"));
    let nested = identity(&Ty::List(Box::new(Ty::Plain("string"))));
    let error = arguments(&nested, r#"[[{"a":1,"a":2}]]"#).unwrap_err();
    assert!(error.contains("was already used in this object"), "{error}");
}

#[test]
fn there_is_an_end_to_how_many_values_there_may_be() {
    let numbers = identity(&Ty::List(Box::new(Ty::Plain("u8"))));
    let text = |count: usize| format!("[[{}0]]", "0,".repeat(count - 1));
    assert_eq!(arguments(&numbers, &text(999_999)).map(|values| values.len()), Ok(1));
    let error = arguments(&numbers, &text(1_000_000)).unwrap_err();
    assert_eq!(error, "arguments[0]: there are more than 1000000 values in the arguments");
}

#[test]
fn what_has_no_json_is_said_before_the_call() {
    let resource = "(export \"r\" (type $r (sub resource)))";
    let own = function(&format!("{resource} (export \"f\" (func (param \"x\" (list (own $r)))))"));
    assert_eq!(is_expressible(&own), Err("its parameter `x` has a resource in its type".into()));
    let borrow = function(&format!("{resource} (export \"f\" (func (param \"x\" (tuple u8 (borrow $r)))))"));
    assert_eq!(is_expressible(&borrow), Err("its parameter `x` has a resource in its type".into()));
    let out = function(&format!("{resource} (export \"f\" (func (result (option (own $r)))))"));
    assert_eq!(is_expressible(&out), Err("its result has a resource in its type".into()));
    let stream =
        function("(type $s (stream u8)) (type $r (result $s (error string))) (export \"f\" (func (result $r)))");
    assert_eq!(is_expressible(&stream), Err("its result has a stream in its type".into()));
    let future = function("(type $p (future u8)) (export \"f\" (func (param \"x\" $p)))");
    assert_eq!(is_expressible(&future), Err("its parameter `x` has a future in its type".into()));
    assert!(arguments(&future, "[1]").unwrap_err().contains("a future cannot be passed"));
}
