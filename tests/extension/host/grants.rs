//! What is granted is linked; what is not is refused with the setting that would grant it.

use super::guest::{BUS, CLOCK, CONFIG, Guest, INVOKE, Interface, LOG, RANDOM, STATE};
use super::{all_loaded, loaded, quiet, reply};

const INTERFACES: [(&str, &Interface); 7] = [
    ("bus", &BUS),
    ("invoke", &INVOKE),
    ("state", &STATE),
    ("log", &LOG),
    ("config", &CONFIG),
    ("clock", &CLOCK),
    ("random", &RANDOM),
];

/// An extension that imports this interface under this name.
fn importing(name: &str, interface: &Interface) -> Vec<u8> {
    let mut guest = Guest::new().importing_as(name, interface);
    let null = guest.text("null");
    guest.handling(&format!("(call $ok {null})")).component()
}

/// Why such an extension, with everything granted to it, is not loaded.
async fn refused(name: &str, interface: &Interface) -> String {
    let settings = r#"extension.it.grants = ["bus", "invoke"]"#;
    let (_, broken) = loaded(settings, &[("it", importing(name, interface))]).await;
    let [broken] = broken.as_slice() else { panic!("it is loaded") };
    broken.reason.clone()
}

#[tokio::test]
async fn each_interface_needs_its_own_grant() {
    for (grant, interface) in INTERFACES {
        let component = importing(interface.name, interface);
        let others: Vec<&str> = INTERFACES.iter().map(|(name, _)| *name).filter(|name| *name != grant).collect();
        let without = format!("extensions.grants = {others:?}");
        let (host, broken) = loaded(&without, &[("it", component.clone()), ("other", quiet())]).await;
        let [it] = broken.as_slice() else { panic!("{grant}: {broken:?}") };
        assert_eq!(it.name, "it");
        assert!(it.reason.contains(interface.name), "{}", it.reason);
        assert!(it.reason.contains(&format!("`grants = [\"{grant}\"]` in [extension.it]")), "{}", it.reason);
        assert_eq!(reply(&host, "other", "1").await, "null");

        let with = format!("extensions.grants = []\nextension.it.grants = [{grant:?}]");
        assert_eq!(reply(&all_loaded(&with, &[("it", component)]).await, "it", "1").await, "null");
    }
}

#[tokio::test]
async fn nobody_needs_a_setting_for_what_reaches_nobody_else() {
    for (grant, interface) in INTERFACES {
        let (_, broken) = loaded("", &[("it", importing(interface.name, interface))]).await;
        assert_eq!(broken.is_empty(), !matches!(grant, "bus" | "invoke"), "{grant}: {broken:?}");
    }
}

#[tokio::test]
async fn later_versions_of_the_contract_are_linked_as_far_as_they_are_known() {
    for version in ["1.0.0", "1.0.9", "1.7.0"] {
        let name = format!("postroom:extension/log@{version}");
        all_loaded("", &[("it", importing(&name, &LOG))]).await;
    }
    let with_more = Interface {
        declarations: "(export \"shout\" (func (param \"text\" string)))",
        functions: &[("shout", "(param i32 i32)")],
        ..LOG
    };
    let reason = refused("postroom:extension/log@1.7.0", &with_more).await;
    assert!(reason.contains("log") && reason.contains("shout"), "{reason}");
    let reason = refused("postroom:extension/log@2.0.0", &LOG).await;
    assert!(reason.contains("postroom:extension/log@2.0.0") && reason.contains("1.0.0"), "{reason}");
    let reason = refused("postroom:extension/lok@1.0.0", &LOG).await;
    assert!(reason.contains("did you mean `log`?"), "{reason}");
}
