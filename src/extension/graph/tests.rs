//! Each rule of resolution, and each way in which it fails, in a picture of a few lines.

use proptest::prelude::*;

use super::*;

/// `ns:pkg/lib@1.2.3{add, sub:func() -> u32}`: functions without a type all have the same.
fn interface(text: &str) -> Interface {
    let (name, functions) = text.split_once('{').unwrap_or((text, "add}"));
    let (name, version) = match name.split_once('@') {
        Some((name, version)) => (name, Some(version.parse().unwrap())),
        None => (name, None),
    };
    let functions =
        functions.strip_suffix('}').unwrap().split(',').map(str::trim).filter(|function| !function.is_empty());
    let typed = |function: &str| {
        let (name, ty) = function.split_once(':').unwrap_or((function, "func(a: s32, b: s32) -> s32"));
        (name.to_owned(), ty.to_owned())
    };
    Interface { name: name.to_owned(), version, functions: functions.map(typed).collect() }
}

/// `name: imports => exports`, separated by semicolons.
fn node(text: &str) -> Node {
    let (name, sides) = text.split_once(':').unwrap();
    let (imports, exports) = sides.split_once("=>").unwrap();
    let list = |side: &str| side.split(';').map(str::trim).filter(|text| !text.is_empty()).map(interface).collect();
    Node { name: name.trim().to_owned(), imports: list(imports), exports: list(exports) }
}

fn resolved(nodes: &[&str]) -> Resolution {
    chosen(nodes, &[])
}

fn chosen(nodes: &[&str], choices: &[(&str, &str, &str)]) -> Resolution {
    let nodes: Vec<Node> = nodes.iter().map(|text| node(text)).collect();
    let choices = choices.iter().map(|(importer, interface, provider)| {
        (((*importer).to_owned(), (*interface).to_owned()), (*provider).to_owned())
    });
    resolve(&nodes, &choices.collect())
}

/// Who serves whom, as `importer<-provider@version`.
fn links(resolution: &Resolution) -> Vec<String> {
    let version = |link: &Link| link.provided.as_ref().map_or(String::new(), |version| format!("@{version}"));
    resolution.links.iter().map(|link| format!("{}<-{}{}", link.importer, link.provider, version(link))).collect()
}

fn reasons(resolution: &Resolution, name: &str) -> Vec<String> {
    resolution.set_aside.get(name).into_iter().flatten().map(Problem::to_string).collect()
}

#[test]
fn the_readme_case() {
    let resolution = resolved(&["ext-add: m:js/lib@1.0.0 => m:add/lib@1.0.0", "ext-js: => m:js/lib@1.0.1"]);
    assert_eq!(resolution.order, ["ext-js", "ext-add"]);
    assert_eq!(links(&resolution), ["ext-add<-ext-js@1.0.1"]);
    assert_eq!(resolution.links[0].required, Some(Version::new(1, 0, 0)));
    assert!(resolution.set_aside.is_empty());
}

#[test]
fn versions_suit_as_cargo_reads_them() {
    let suits = |required: &str, offered: &str| {
        let parse = |text: &str| (!text.is_empty()).then(|| text.parse::<Version>().unwrap());
        suits(parse(required).as_ref(), parse(offered).as_ref())
    };
    for (required, offered) in [
        ("1.0.0", "1.0.0"),
        ("1.0.0", "1.0.1"),
        ("1.0.1", "1.2.0"),
        ("0.2.0", "0.2.12"),
        ("0.0.1", "0.0.1"),
        ("", ""),
        ("1.0.0-rc.1", "1.0.0-rc.1"),
        ("1.0.0+a", "1.0.0+b"),
    ] {
        assert_eq!(suits(required, offered), Suits::Yes, "{required} {offered}");
    }
    for (required, offered) in [("1.0.1", "1.0.0"), ("1.2.0", "1.1.9"), ("0.2.12", "0.2.9")] {
        assert_eq!(suits(required, offered), Suits::TooOld, "{required} {offered}");
    }
    for (required, offered) in [
        ("1.0.0", "2.0.0"),
        ("2.0.0", "1.0.0"),
        ("0.2.0", "0.3.0"),
        ("0.0.1", "0.0.2"),
        ("0.1.0", "1.0.0"),
        ("", "1.0.0"),
        ("1.0.0", ""),
        ("1.0.0-rc.1", "1.0.0"),
        ("1.0.0", "1.0.1-rc.1"),
        ("1.0.0-rc.1", "1.0.0-rc.2"),
    ] {
        assert_eq!(suits(required, offered), Suits::OtherTrack, "{required} {offered}");
    }
}

#[test]
fn the_highest_suiting_version_wins() {
    let resolution = resolved(&["a: m:lib@1.0.0 => ", "b: => m:lib@1.2.0", "c: => m:lib@1.10.0", "d: => m:lib@2.0.0"]);
    assert_eq!(links(&resolution), ["a<-c@1.10.0"]);
    let both = resolved(&["a: m:lib@1.0.0; m:lib@2.0.0 => ", "b: => m:lib@1.2.0; m:lib@2.1.0"]);
    assert_eq!(links(&both), ["a<-b@1.2.0", "a<-b@2.1.0"]);
}

#[test]
fn two_of_the_same_version_need_a_choice() {
    let nodes = ["a: m:lib@1.0.0 => ", "b: => m:lib@1.2.0", "c: => m:lib@1.2.0"];
    let resolution = resolved(&nodes);
    assert_eq!(
        reasons(&resolution, "a"),
        ["a needs m:lib, and b and c all offer m:lib@1.2.0; choose with extension.\"a\".providers.\"m:lib\""]
    );
    assert_eq!(resolution.order, ["b", "c"]);
    assert_eq!(links(&chosen(&nodes, &[("a", "m:lib", "c")])), ["a<-c@1.2.0"]);
    assert_eq!(reasons(&chosen(&nodes, &[("b", "m:lib", "c")]), "a").len(), 1);
}

#[test]
fn a_choice_holds_against_a_higher_version_and_is_checked_like_any() {
    let nodes = ["a: m:lib@1.1.0 => ", "b: => m:lib@1.2.0", "c: => m:lib@1.3.0", "d: => m:lib@1.0.0"];
    assert_eq!(links(&chosen(&nodes, &[("a", "m:lib", "b")])), ["a<-b@1.2.0"]);
    assert_eq!(
        reasons(&chosen(&nodes, &[("a", "m:lib", "d")]), "a"),
        ["a needs m:lib@1.1.0 or newer, but what is offered is too old: d has 1.0.0"]
    );
    assert_eq!(
        reasons(&chosen(&nodes, &[("a", "m:lib", "nobody")]), "a"),
        ["a needs m:lib, and extension.\"a\".providers.\"m:lib\" chooses nobody, which does not offer it"]
    );
}

#[test]
fn an_extension_does_not_serve_itself() {
    let wrapper = ["a: m:lib@1.0.0 => m:lib@1.1.0", "b: => m:lib@1.0.0"];
    assert_eq!(links(&resolved(&wrapper)), ["a<-b@1.0.0"]);
    assert_eq!(reasons(&resolved(&wrapper[..1]), "a"), ["a needs m:lib@1.0.0, which no extension offers"]);
}

#[test]
fn a_missing_interface_names_what_is_nearest() {
    let resolution = resolved(&["a: math:calc/lib@1.0.0 => ", "b: => math:calk/lib@1.0.0; other:thing/x@1.0.0"]);
    assert_eq!(
        reasons(&resolution, "a"),
        ["a needs math:calc/lib@1.0.0, which no extension offers; nearest: math:calk/lib"]
    );
}

#[test]
fn old_and_foreign_versions_are_named() {
    let resolution = resolved(&["a: m:lib@1.5.0 => ", "b: => m:lib@1.4.0", "c: => m:lib@2.0.0"]);
    assert_eq!(
        reasons(&resolution, "a"),
        ["a needs m:lib@1.5.0 or newer, but what is offered is too old: b has 1.4.0"]
    );
    let resolution = resolved(&["a: m:lib@1.5.0 => ", "b: => m:lib", "c: => m:lib@2.0.0"]);
    assert_eq!(
        reasons(&resolution, "a"),
        ["a needs m:lib@1.5.0, but what is offered is not compatible: b has one without version, c has 2.0.0"]
    );
}

#[test]
fn functions_are_compared_by_name_and_type() {
    let resolution = resolved(&[
        "a: m:lib@1.0.0{add, divide, neg:func(a: s32) -> s32} => ",
        "b: => m:lib@1.0.0{add, divid, more, neg:func(a: s64) -> s64}",
    ]);
    assert_eq!(
        reasons(&resolution, "a"),
        [
            "a needs `divide` of m:lib, which b does not have; nearest: divid",
            "a needs `neg` of m:lib as func(a: s32) -> s32, but b has it as func(a: s64) -> s64",
        ]
    );
    assert_eq!(links(&resolved(&["a: m:lib@1.0.0{add} => ", "b: => m:lib@1.0.0{add, more}"])), ["a<-b@1.0.0"]);
}

#[test]
fn a_circle_is_named_with_its_path_and_takes_its_importers_along_only() {
    let resolution = resolved(&[
        "b: m:c => m:b",
        "c: m:d => m:c",
        "d: m:b => m:d",
        "above: m:c => m:above",
        "higher: m:above => ",
        "free: => m:free",
        "user: m:free => ",
    ]);
    assert_eq!(resolution.order, ["free", "user"]);
    for name in ["b", "c", "d"] {
        assert_eq!(reasons(&resolution, name), ["they need each other in a circle: b -> c -> d -> b"]);
    }
    assert_eq!(reasons(&resolution, "above"), ["above needs c, which cannot be loaded itself"]);
    assert_eq!(reasons(&resolution, "higher"), ["higher needs above, which cannot be loaded itself"]);
    assert_eq!(links(&resolution), ["user<-free"]);
}

#[test]
fn two_circles_are_found_both() {
    let resolution = resolved(&["a: m:b => m:a", "b: m:a => m:b", "c: m:d; m:a => m:c", "d: m:c => m:d"]);
    assert_eq!(reasons(&resolution, "a"), ["they need each other in a circle: a -> b -> a"]);
    assert_eq!(reasons(&resolution, "c"), ["c needs a, which cannot be loaded itself"]);
    assert_eq!(reasons(&resolution, "d"), ["d needs c, which cannot be loaded itself"]);
    let apart = resolved(&["a: m:b => m:a", "b: m:a => m:b", "c: m:d => m:c", "d: m:c => m:d"]);
    assert_eq!(reasons(&apart, "d"), ["they need each other in a circle: c -> d -> c"]);
}

#[test]
fn who_stands_on_a_broken_one_is_set_aside_and_not_given_to_another() {
    let resolution = resolved(&["a: m:lib@1.0.0 => ", "b: m:gone@1.0.0 => m:lib@1.2.0", "c: => m:lib@1.1.0"]);
    assert_eq!(reasons(&resolution, "a"), ["a needs b, which cannot be loaded itself"]);
    assert_eq!(resolution.order, ["c"]);
}

#[test]
fn every_reason_is_told_at_once() {
    let resolution = resolved(&["a: m:gone@1.0.0; m:old@2.1.0 => ", "b: => m:old@2.0.0"]);
    assert_eq!(reasons(&resolution, "a").len(), 2);
}

#[test]
fn nothing_is_nothing() {
    assert_eq!(resolved(&[]), Resolution::default());
}

/// Any eight extensions that offer and need a few interfaces in a few versions.
fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    let interface = (0..4u8, 0..3u64, 0..2u64, prop::sample::select(vec!["", "add", "add, sub"]))
        .prop_map(|(name, major, minor, functions)| interface(&format!("m:{name}@{major}.{minor}.0{{{functions}}}")));
    let side = || prop::collection::vec(interface.clone(), 0..3);
    prop::collection::vec((side(), side()), 0..8).prop_map(|sides| {
        let named = |(n, (imports, exports))| Node { name: format!("n{n}"), imports, exports };
        sides.into_iter().enumerate().map(named).collect()
    })
}

proptest! {
    #[test]
    fn what_is_loaded_is_served_and_in_order(nodes in any_nodes(), seed in any::<u64>()) {
        let resolution = resolve(&nodes, &Choices::new());
        let place = |name: &str| resolution.order.iter().position(|loaded| loaded == name);
        for node in &nodes {
            // Each is loaded or set aside, never both.
            prop_assert_ne!(place(&node.name).is_some(), resolution.set_aside.contains_key(&node.name));
            let served: Vec<&Link> = resolution.links.iter().filter(|link| link.importer == node.name).collect();
            if place(&node.name).is_none() {
                prop_assert!(served.is_empty());
                continue;
            }
            prop_assert_eq!(served.len(), node.imports.len());
            for link in served {
                prop_assert!(place(&link.provider) < place(&node.name));
                prop_assert_eq!(suits(link.required.as_ref(), link.provided.as_ref()), Suits::Yes);
            }
        }
        // The order of the input does not matter.
        let mut shuffled = nodes.clone();
        shuffled.rotate_left(if nodes.is_empty() { 0 } else { seed as usize % nodes.len() });
        shuffled.reverse();
        prop_assert_eq!(resolve(&shuffled, &Choices::new()), resolution);
    }
}
