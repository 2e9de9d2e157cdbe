use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Engine};

use super::entry::HEADER_BYTES;
use super::*;

const COMPONENT: &str = r#"(component (core module $m (func (export "f") (result i32) i32.const 7))
    (core instance $i (instantiate $m)) (func (export "f") (result s32) (canon lift (core func $i "f"))))"#;

struct Fixture {
    top: tempfile::TempDir,
    engine: Engine,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { top: tempfile::tempdir().unwrap(), engine: Engine::default() }
    }

    fn folder(&self) -> PathBuf {
        self.top.path().join("a/compiled")
    }

    fn cache(&self) -> Cache {
        Cache::open(&self.folder())
    }

    /// Asks for a component and checks that it runs, whatever the cache says.
    fn origin_of(&self, text: &str) -> Origin {
        origin(&self.cache(), &self.engine, text)
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn only_file(&self) -> PathBuf {
        let [file] = self.files().try_into().unwrap();
        file
    }
}

fn origin(cache: &Cache, engine: &Engine, text: &str) -> Origin {
    let bytes = wat::parse_str(text).unwrap();
    let (component, origin) = cache.obtain(engine, &Sha256::digest(&bytes).into(), &bytes).unwrap();
    let mut store = wasmtime::Store::new(engine, ());
    store.set_epoch_deadline(1);
    let instance = wasmtime::component::Linker::new(engine).instantiate(&mut store, &component).unwrap();
    let f = instance.get_typed_func::<(), (i32,)>(&mut store, "f").unwrap();
    assert_eq!(f.call(&mut store, ()).unwrap(), (7,));
    origin
}

#[test]
fn what_was_compiled_is_loaded_the_next_time() {
    let fixture = Fixture::new();
    assert_eq!(fixture.origin_of(COMPONENT), Origin::Compiled);
    assert_eq!(fixture.origin_of(COMPONENT), Origin::Loaded);
    assert_eq!(fs::metadata(fixture.folder()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(fixture.only_file()).unwrap().permissions().mode() & 0o777, 0o600);
    let other = COMPONENT.replace("$m", "$another-name");
    assert_eq!(fixture.origin_of(&other), Origin::Compiled);
    assert_eq!(fixture.files().len(), 2);
}

#[test]
fn an_engine_with_other_settings_has_code_of_its_own() {
    let fixture = Fixture::new();
    fixture.origin_of(COMPONENT);
    let other = Engine::new(Config::new().epoch_interruption(true)).unwrap();
    assert_eq!(origin(&fixture.cache(), &other, COMPONENT), Origin::Compiled);
    assert_eq!(origin(&fixture.cache(), &other, COMPONENT), Origin::Loaded);
    assert_eq!(fixture.origin_of(COMPONENT), Origin::Loaded);
    // The code of one engine under the name of the other: the header tells.
    let [a, b] = fixture.files().try_into().unwrap();
    fs::copy(&a, &b).unwrap();
    let origins = [fixture.origin_of(COMPONENT), origin(&fixture.cache(), &other, COMPONENT)];
    assert_eq!(origins.iter().filter(|origin| matches!(origin, Origin::Rebuilt(_))).count(), 1, "{origins:?}");
}

/// One bit in every part of the header and at many places of the code; cuts; additions; something else altogether.
#[test]
fn whatever_is_damaged_is_rebuilt() {
    let fixture = Fixture::new();
    fixture.origin_of(COMPONENT);
    let file = fixture.only_file();
    let good = fs::read(&file).unwrap();
    let mut bad: Vec<Vec<u8>> = (0..HEADER_BYTES)
        .step_by(7)
        .chain((HEADER_BYTES..good.len()).step_by(499))
        .map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        })
        .collect();
    bad.extend([0, 1, HEADER_BYTES - 1, HEADER_BYTES, good.len() - 1].map(|length| good[..length].to_vec()));
    bad.push([good.as_slice(), b"x"].concat());
    bad.push(vec![0; good.len()]);
    // Code that the engine would load, without our header.
    bad.push(good[HEADER_BYTES..].to_vec());
    for bytes in bad {
        fs::write(&file, &bytes).unwrap();
        let origin = fixture.origin_of(COMPONENT);
        assert!(matches!(origin, Origin::Rebuilt(_)), "{origin:?} of {} bytes", bytes.len());
        assert_eq!(fs::read(&file).unwrap(), good, "the good one is back");
    }
    assert_eq!(fixture.origin_of(COMPONENT), Origin::Loaded);
}

#[test]
fn what_others_could_have_written_is_not_trusted() {
    let fixture = Fixture::new();
    fixture.origin_of(COMPONENT);
    let file = fixture.only_file();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&file, 0o666);
    assert!(matches!(fixture.origin_of(COMPONENT), Origin::Rebuilt(_)));
    let elsewhere = fixture.top.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    assert!(matches!(fixture.origin_of(COMPONENT), Origin::Rebuilt(_)));
    assert!(fs::symlink_metadata(&file).unwrap().is_file());

    for open in [0o755, 0o770, 0o701] {
        mode(&fixture.folder(), open);
        let cache = fixture.cache();
        let trouble = cache.trouble().expect("it is refused");
        assert!(trouble.hint.contains("chmod 700"), "{trouble:?}");
        assert!(matches!(origin(&cache, &fixture.engine, COMPONENT), Origin::Unkept(_)));
    }
    mode(&fixture.folder(), 0o700);
    assert_eq!(fixture.origin_of(COMPONENT), Origin::Loaded);
}

#[test]
fn a_folder_that_cannot_be_used_costs_only_time() {
    let fixture = Fixture::new();
    fs::write(fixture.top.path().join("a"), "a file in its place").unwrap();
    assert!(fixture.cache().trouble().is_some());
    assert!(matches!(fixture.origin_of(COMPONENT), Origin::Unkept(_)));
    fs::remove_file(fixture.top.path().join("a")).unwrap();
    fs::create_dir_all(fixture.top.path().join("a")).unwrap();
    std::os::unix::fs::symlink("/tmp", fixture.folder()).unwrap();
    assert!(fixture.cache().trouble().is_some(), "a link could lead anywhere");
    // A folder in the place of the file: nothing can be kept under that name.
    fs::remove_file(fixture.folder()).unwrap();
    fixture.origin_of(COMPONENT);
    let file = fixture.only_file();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(fixture.origin_of(COMPONENT), Origin::Unkept(_)));
}

#[test]
fn the_oldest_goes_when_there_is_too_much() {
    let fixture = Fixture::new();
    let texts = ["$a", "$b", "$c"].map(|name| COMPONENT.replace("$m", name));
    fixture.origin_of(&texts[0]);
    let first = fixture.only_file();
    let size = fs::metadata(&first).unwrap().len();
    let age = |path: &Path, seconds| {
        let then = SystemTime::now() - Duration::from_secs(seconds);
        fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    };
    age(&first, 1000);
    let left_behind = fixture.folder().join(".new-left-by-a-crash");
    let under_way = fixture.folder().join(".new-under-way");
    let foreign = fixture.folder().join("README");
    for path in [&left_behind, &under_way, &foreign] {
        fs::write(path, "x").unwrap();
    }
    age(&left_behind, 100_000);
    let cache = fixture.cache().bounded(size * 5 / 2);
    assert_eq!(origin(&cache, &fixture.engine, &texts[1]), Origin::Compiled);
    assert!(first.exists() && under_way.exists() && foreign.exists() && !left_behind.exists());
    assert_eq!(origin(&cache, &fixture.engine, &texts[2]), Origin::Compiled);
    assert!(!first.exists());
    assert_eq!(origin(&cache, &fixture.engine, &texts[1]), Origin::Loaded);
    assert_eq!(origin(&cache, &fixture.engine, &texts[2]), Origin::Loaded);
}

#[test]
fn what_is_used_is_not_the_oldest() {
    let fixture = Fixture::new();
    fixture.origin_of(COMPONENT);
    let file = fixture.only_file();
    let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
    fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(fixture.origin_of(COMPONENT), Origin::Loaded);
    assert!(fs::metadata(&file).unwrap().modified().unwrap() > long_ago + Duration::from_secs(900_000));
}
