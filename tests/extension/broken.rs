//! Files in the extensions folder that cannot be used: each is named with its reason, and the others work.

use postroom::extension::{About, Configuration, ExtensionHost, Limits, LoadError};

use super::mock::{binary, component, described, describing, handler, handler_in, replying};
use super::{Folder, call, handle, load, one_second, replied};

/// The reason for which this file is set aside. Beside it stands a good one, which must work.
async fn reason_of(bytes: impl AsRef<[u8]>) -> String {
    let folder = Folder::new();
    folder.put("bad.wasm", bytes).put("good.wasm", component("", &[replying("1")]));
    let (host, broken) = load(folder.0.path(), &one_second()).await;
    assert_eq!(replied(handle(&host, "good", call("null")).await), "1");
    assert_eq!(broken.len(), 1);
    assert_eq!((broken[0].name.as_str(), &broken[0].path), ("bad", &folder.path("bad.wasm")));
    assert!(host.package("bad").is_none());
    broken[0].reason.clone()
}

#[tokio::test]
async fn a_folder_without_extensions_is_fine() {
    let folder = Folder::new();
    folder.put("extensions.lock", "").put(".hidden.wasm", "").put("notes.txt", "").put("wasm", "");
    for path in [folder.path(""), folder.path("not-there")] {
        let (host, broken) = load(&path, &Limits::default()).await;
        assert_eq!((host.packages().count(), broken.len()), (0, 0));
    }
    let error = ExtensionHost::load(&folder.path("notes.txt"), &Configuration::default()).await.err().unwrap();
    assert!(matches!(error, LoadError::Folder { .. }));
    assert!(error.to_string().starts_with("listing the extensions in "), "{error}");
}

#[tokio::test]
async fn files_that_are_no_components() {
    assert_eq!(reason_of("").await, "it is not a WebAssembly component");
    assert_eq!(reason_of("(component)").await, "it is not a WebAssembly component");
    assert!(reason_of(binary("(module)")).await.starts_with("it is a core WebAssembly module, not a component"));
    let whole = component("", &[replying("1")]);
    let half = reason_of(&whole[..whole.len() / 2]).await;
    assert!(half.starts_with("it is not a valid component: unexpected end"), "{half}");
    let mut damaged = whole.clone();
    damaged[20..40].fill(0xff);
    assert!(reason_of(damaged).await.starts_with("it is not a valid component: "));
}

#[tokio::test]
async fn files_that_are_no_files() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("folder.wasm")).unwrap();
    #[cfg(unix)]
    {
        rustix::fs::mknodat(rustix::fs::CWD, folder.path("pipe.wasm"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path("leads-nowhere.wasm")).unwrap();
    }
    let (_, broken) = folder.load().await;
    let reasons: Vec<(&str, &str)> =
        broken.iter().map(|broken| (broken.name.as_str(), broken.reason.as_str())).collect();
    let folder = ("folder", "it is not a regular file");
    if cfg!(unix) {
        let nowhere = ("leads-nowhere", "it cannot be read: No such file or directory (os error 2)");
        assert_eq!(reasons, [folder, nowhere, ("pipe", "it is not a regular file")]);
    } else {
        assert_eq!(reasons, [folder]);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_a_component_is_followed() {
    let folder = Folder::new();
    folder.put("built", component("", &[replying("1")]));
    std::os::unix::fs::symlink("built", folder.path("linked.wasm")).unwrap();
    let (host, broken) = folder.load().await;
    assert_eq!(broken, []);
    assert_eq!(replied(handle(&host, "linked", call("null")).await), "1");
}

#[tokio::test]
async fn names_that_cannot_be_agents() {
    let folder = Folder::new();
    for name in ["postroom", "a b", "a..b", "x.reply", "nul", "\u{e4}", "-x"] {
        folder.put(&format!("{name}.wasm"), component("", &[replying("1")]));
    }
    let (host, broken) = folder.load().await;
    assert_eq!(host.packages().count(), 0);
    assert_eq!(broken.len(), 7);
    for broken in broken {
        let expected = match broken.name.as_str() {
            "postroom" => "is the service itself",
            _ => "its name cannot be an agent id",
        };
        assert!(broken.reason.contains(expected), "{broken:?}");
    }
}

#[tokio::test]
async fn components_without_a_handler() {
    let nothing = "it does not export `postroom:extension/handler@1.0.0`, which every extension does";
    assert_eq!(reason_of(binary("(component)")).await, nothing);
    assert_eq!(reason_of(component("", &[described("1", "a.b", "c")])).await, nothing);
    assert_eq!(
        reason_of(component("", &[replying("1").of_interface("postroom:extension/handler@2.0.0")])).await,
        "it exports `postroom:extension/handler@2.0.0`; this program knows `postroom:extension/handler` 1.x only"
    );
    let pre_release =
        reason_of(component("", &[replying("1").of_interface("postroom:extension/handler@1.1.0-rc.1")])).await;
    assert!(pre_release.contains("1.x only"), "{pre_release}");
    assert_eq!(
        reason_of(binary("(component (instance $i) (export \"postroom:extension/handler@1.0.0\" (instance $i)))"))
            .await,
        "its `postroom:extension/handler@1.0.0` has no function `handle`"
    );
}

#[tokio::test]
async fn a_later_minor_version_of_the_contract_is_fine() {
    let folder = Folder::new();
    folder.put("later.wasm", component("", &[replying("1").of_interface("postroom:extension/handler@1.12.3")]));
    let (host, broken) = folder.load().await;
    assert_eq!(broken, []);
    assert_eq!(replied(handle(&host, "later", call("null")).await), "1");
}

#[tokio::test]
async fn functions_of_other_types() {
    let other = replying("1").with_signature("(param \"message\" u32) (result u32)");
    assert_eq!(
        reason_of(component("", &[other])).await,
        "its `handle` does not have the types of this contract: expected 2-tuple, found 1-tuple"
    );
    let other = described("1", "a.b", "c").with_signature("(result u32)");
    assert_eq!(
        reason_of(component("", &[replying("1"), other])).await,
        "its `describe` does not have the types of this contract: expected `record` found `u32`"
    );
}

#[tokio::test]
async fn imports_that_nobody_provides_are_named() {
    let imports = r#"
        (import "somebody:else/lib@0.1.0" (instance (export "f" (func))))
    "#;
    assert_eq!(
        reason_of(component(imports, &[replying("1")])).await,
        "bad needs somebody:else/lib@0.1.0, which no extension offers"
    );
    let resource = r#"(import "somebody:else/things" (instance (export "thing" (type (sub resource)))))"#;
    assert_eq!(
        reason_of(component(resource, &[replying("1")])).await,
        "bad needs somebody:else/things, which no extension offers"
    );
}

#[tokio::test]
async fn an_import_of_types_alone_needs_nobody() {
    let types =
        r#"(import "somebody:else/types@0.1.0" (instance (type (record (field "x" u32))) (export "t" (type (eq 0)))))"#;
    let folder = Folder::new();
    folder.put("typed.wasm", component(types, &[replying("1")]));
    let (host, broken) = folder.load().await;
    assert_eq!(broken, []);
    assert_eq!(replied(handle(&host, "typed", call("null")).await), "1");
}

#[tokio::test]
async fn components_that_fail_when_they_are_instantiated() {
    let starting = |body: &str| {
        handler_in(&format!(
        "(memory (export \"memory\") 1) (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) unreachable)
         (func (export \"handle\") (param i32) (result i32) unreachable)
         (func $start {body}) (start $start)"
    ))
    };
    assert_eq!(
        reason_of(component("", &[starting("unreachable")])).await,
        "it failed when it was loaded: it stopped itself (a panic or an abort: wasm `unreachable`)"
    );
    assert_eq!(
        reason_of(component("", &[starting("(loop (br 0))")])).await,
        "it failed when it was loaded: no answer within 1000 ms"
    );
    let big = handler("unreachable) (memory 5000) (func");
    assert_eq!(
        reason_of(component("", &[big])).await,
        "it failed when it was loaded: it asked for more than 268435456 bytes of memory"
    );
}

#[tokio::test]
async fn what_an_extension_says_of_itself_is_known() {
    let folder = Folder::new();
    folder
        .put("said.wasm", component("", &[replying("1"), described("1.4.0", "math.add", "math")]))
        .put("silent.wasm", component("", &[replying("1")]));
    let (host, broken) = folder.load().await;
    assert_eq!(broken, []);
    let said = host.package("said").unwrap();
    assert_eq!(
        said.about,
        About {
            version: "1.4.0".into(),
            description: String::new(),
            actions: vec!["math.add".into()],
            capabilities: vec!["math".into()]
        }
    );
    assert!(said.declares("math.add") && !said.declares("math.ad") && !said.declares("math"));
    assert_eq!(host.package("silent").unwrap().about, About::default());
    assert_eq!(said.sha256_hex().len(), 64);
    assert_ne!(said.sha256, host.package("silent").unwrap().sha256);
    let names: Vec<&str> = host.packages().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["said", "silent"]);
}

#[tokio::test]
async fn a_description_that_cannot_be_had() {
    assert_eq!(
        reason_of(component("", &[replying("1"), describing("unreachable")])).await,
        "it failed when it was loaded: it stopped itself (a panic or an abort: wasm `unreachable`)"
    );
    assert_eq!(
        reason_of(component("", &[replying("1"), described("1", "a\u{7}", "c")])).await,
        "`describe` has a control character in `actions`"
    );
    assert_eq!(
        reason_of(component("", &[replying("1"), described("1", "", "c")])).await,
        "`describe` lists an empty text in `actions`"
    );
}
