use super::*;
use crate::extension::graph::Interface;

fn functions(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, ty)| ((*name).to_owned(), (*ty).to_owned())).collect()
}

fn full() -> LockFile {
    let hash = ComponentHash::of;
    let stamp = Stamp { bytes: 12_345, inode: u64::MAX / 2, modified_ns: 1_763_683_200_000_000_001, changed_ns: -5 };
    let interfaces = Analysis {
        imports: vec![
            Interface {
                name: "calc:sum/lib".into(),
                version: Some("1.2.0-rc.1+build".parse().unwrap()),
                functions: functions(&[("sum", "func(a: s32) -> result<string, record { a: u8 }>")]),
            },
            Interface { name: "plain".into(), version: None, functions: BTreeMap::new() },
        ],
        exports: vec![Interface {
            name: "postroom:extension/handler".into(),
            version: Some("1.0.0".parse().unwrap()),
            functions: functions(&[("handle", "func()"), ("[method]a.b", "func(self: borrow<a>)")]),
        }],
        bare_imports: functions(&[("x", "func()")]),
        bare_exports: functions(&[("init", "async func()")]),
    };
    let about = About {
        version: "1.0.0".into(),
        description: "quotes \" and ' and \\ and \u{e4} and\u{202e}".into(),
        actions: vec!["a.b".into(), "c".into()],
        capabilities: vec![],
    };
    let subcommand = Command { name: "sum-up".into(), about: "adds".into(), usage: "two\nlines\t\"\"\"".into() };
    let locked = Locked {
        sha256: hash(b"1"),
        stamp,
        about,
        subcommand: Some(subcommand),
        interfaces,
        previous: Some(hash(b"0")),
    };
    let least = Locked {
        sha256: hash(b"2"),
        stamp,
        about: About::default(),
        subcommand: None,
        interfaces: Analysis::default(),
        previous: None,
    };
    LockFile {
        extensions: BTreeMap::from([("ext-add".to_owned(), locked), ("b.c_d".to_owned(), least)]),
        under_way: vec![
            UnderWay::Install { name: "n".into(), sha256: hash(b"3"), added_grants: vec!["bus".into()] },
            UnderWay::Remove { name: "b.c_d".into(), sha256: hash(b"2") },
        ],
    }
}

fn parse(text: &str) -> Result<LockFile, LockError> {
    LockFile::parse(text.as_bytes(), Path::new("extensions.lock"))
}

#[test]
fn what_is_written_is_read() {
    for lock in [full(), LockFile::default()] {
        let text = lock.to_text();
        assert_eq!(parse(&text).unwrap(), lock, "{text}");
    }
}

/// Files that this program has once written must load for ever.
#[test]
fn version_1_is_read() {
    let text = r#"
version = 1

[[under-way]]
what = "install"
name = "n"
sha256 = "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce"
added-grants = ["bus"]

[[extension]]
name = "ext-add"
file = "ext-add.wasm"
sha256 = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
size = 7
stamp = "1 2 3"

[extension.about]
version = "1.0.0"
description = "adds"
actions = ["math.add"]
capabilities = []

[[extension.import]]
interface = "calc:sum/lib"
version = "1.2.0"

[extension.import.functions]
sum = "func(a: s32) -> s32"
"#;
    let lock = parse(text).unwrap();
    let locked = &lock.extensions["ext-add"];
    assert_eq!(locked.stamp, Stamp { bytes: 7, inode: 1, modified_ns: 2, changed_ns: 3 });
    assert_eq!(locked.about.actions, ["math.add"]);
    assert_eq!(locked.interfaces.imports[0].functions["sum"], "func(a: s32) -> s32");
    assert_eq!(lock.under_way.len(), 1);
}

#[test]
fn a_newer_one_is_told_from_a_damaged_one() {
    let newer = "version = 2\nsomething = \"else\"\n";
    assert!(matches!(parse(newer), Err(LockError::Newer { version: 2, .. })));
    let good = full().to_text();
    let entry = "[[extension]]\nname = \"a\"\nfile = \"a.wasm\"\nsize = 1\nstamp = \"1 2 3\"\nsha256 = \"\"\n";
    for damaged in [
        "",
        "version = 0",
        "version = \"1\"",
        "not toml [",
        &good[..good.len() - 5],
        &format!("{good}\nunknown = 1"),
        &good.replace("ext-add", "../../x"),
        &good.replace("\"ext-add.wasm\"", "\"other.wasm\""),
        &good.replace("name = \"b.c_d\"", "name = \"ext-add\""),
        &good.replace("sum-up", "Sum Up"),
        &good.replace("adds", "\\u001b[2J"),
        &format!("version = 1\n{entry}"),
    ] {
        let parsed = parse(damaged);
        assert!(matches!(parsed, Err(LockError::Damaged { .. })), "{parsed:?} of {damaged}");
    }
    assert!(LockFile::parse(b"\xff", Path::new("x")).is_err());
}

#[test]
fn an_entry_is_about_a_file_until_that_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wasm");
    fs::write(&path, "one").unwrap();
    let mut lock = full();
    let stamp = Stamp::of(&fs::metadata(&path).unwrap());
    lock.extensions.get_mut("ext-add").unwrap().stamp = stamp;
    assert!(lock.of_file("ext-add", &fs::metadata(&path).unwrap()).is_some());
    assert!(lock.of_file("b.c_d", &fs::metadata(&path).unwrap()).is_none());
    // Another file of the same size and times is another file.
    let other = folder.path().join("b.wasm");
    fs::write(&other, "two").unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::File::options().write(true).open(&other).unwrap().set_modified(modified).unwrap();
    fs::rename(&other, &path).unwrap();
    assert!(lock.of_file("ext-add", &fs::metadata(&path).unwrap()).is_none());
}

#[test]
fn a_folder_without_one_has_none() {
    let folder = tempfile::tempdir().unwrap();
    assert!(LockFile::read(folder.path()).unwrap().is_none());
    assert!(LockFile::read(&folder.path().join("missing")).unwrap().is_none());
    fs::write(folder.path().join(FILE_NAME), full().to_text()).unwrap();
    assert_eq!(LockFile::read(folder.path()).unwrap(), Some(full()));
    fs::remove_file(folder.path().join(FILE_NAME)).unwrap();
    fs::create_dir(folder.path().join(FILE_NAME)).unwrap();
    assert!(matches!(LockFile::read(folder.path()), Err(LockError::Damaged { .. })));
}
