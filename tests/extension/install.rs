//! Installing, replacing, removing: what is there afterwards, and what is refused with everything as it was.

use std::fs;
use std::path::{Path, PathBuf};

use postroom::extension::install::{
    Candidate, Change, Dependents, Existing, InstallError, Installed, Installer, LockState, Place, load_installed,
};
use postroom::extension::lock_file::{LockFile, UnderWay};
use postroom::extension::{ComponentHash, Configuration};
use postroom::policy::grants::Grant;

use crate::{call, failed, handle, mock, replied};

/// A workspace with no extensions yet.
struct Here(tempfile::TempDir);

impl Here {
    fn new() -> Here {
        Here(tempfile::tempdir().unwrap())
    }

    fn place(&self) -> Place {
        Place {
            folder: self.0.path().join("extensions"),
            settings: self.0.path().join("postroom.toml"),
            reserved: vec!["status".into()],
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place().folder.join(name)
    }

    async fn open(&self) -> (Installer, Vec<String>) {
        Installer::open(self.place(), |_| panic!("nobody else is here")).await.unwrap()
    }

    /// With nothing to bring to an end.
    async fn installer(&self) -> Installer {
        let (installer, told) = self.open().await;
        assert_eq!(told, Vec::<String>::new());
        installer
    }

    async fn add(&self, name: &str, bytes: &[u8]) -> Result<Installed, InstallError> {
        self.installer().await.add(candidate(name, bytes), Existing::Refuse).await
    }

    async fn replace(&self, name: &str, bytes: &[u8]) -> Result<Installed, InstallError> {
        self.installer().await.add(candidate(name, bytes), Existing::Replace).await
    }

    fn lock(&self) -> LockFile {
        LockFile::read(&self.place().folder).unwrap().unwrap()
    }

    /// Every file in the folder but the one that is locked, with its content; hidden ones, too.
    fn tree(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.place().folder).unwrap().map(|entry| entry.unwrap());
        let mut tree: Vec<_> = entries
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap_or_default()))
            .filter(|(name, _)| name != ".install-lock")
            .collect();
        tree.sort();
        tree
    }

    fn names(&self) -> Vec<String> {
        self.tree().into_iter().map(|(name, _)| name).collect()
    }
}

fn candidate(name: &str, bytes: &[u8]) -> Candidate {
    Candidate { name: name.into(), bytes: bytes.into(), grants: Vec::new() }
}

/// A handler that answers with this text.
fn version(text: &str) -> Vec<u8> {
    mock::component("", &[mock::replying(&format!("\"{text}\"")), mock::described(text, "math.add", "adding")])
}

fn short(bytes: &[u8]) -> String {
    ComponentHash::of(bytes).short()
}

#[tokio::test]
async fn what_is_installed_is_in_the_folder_and_in_the_lock_file() {
    let here = Here::new();
    let bytes = version("1.0.0");
    let installed = here.add("ext-sum", &bytes).await.unwrap();
    assert_eq!((installed.change, installed.about.version.as_str()), (Change::New, "1.0.0"));
    assert_eq!(here.names(), ["ext-sum.wasm", "extensions.lock"]);
    assert_eq!(fs::read(here.path("ext-sum.wasm")).unwrap(), bytes);
    let lock = here.lock();
    let locked = lock.of_file("ext-sum", &fs::metadata(here.path("ext-sum.wasm")).unwrap()).unwrap();
    assert_eq!(locked.sha256, ComponentHash::of(&bytes));
    assert_eq!(locked.about.actions, ["math.add"]);
    let handler = locked.interfaces.exports.iter().find(|export| export.name == "postroom:extension/handler").unwrap();
    assert!(handler.functions["handle"].starts_with("func(message: record { id: string"), "{handler:?}");
    assert_eq!(here.place().survey().await.unwrap().lock, LockState::Current);
}

#[tokio::test]
async fn another_one_of_the_same_name_replaces_only_if_that_is_wanted() {
    let here = Here::new();
    let (old, new) = (version("1.0.0"), version("2.0.0"));
    here.add("ext", &old).await.unwrap();
    assert_eq!(here.add("ext", &old).await.unwrap().change, Change::None);
    let before = here.tree();
    let error = here.add("ext", &new).await.unwrap_err();
    assert!(matches!(&error, InstallError::Taken { installed, .. } if *installed == ComponentHash::of(&old)));
    assert!(error.hint().unwrap().contains("postroom ext upgrade ext"), "{error:?}");
    assert_eq!(here.tree(), before);

    let replaced = here.replace("ext", &new).await.unwrap();
    assert_eq!(replaced.change, Change::Replaced { previous: ComponentHash::of(&old) });
    let kept = format!(".ext.{}.old", short(&old));
    assert_eq!(here.names(), [kept.as_str(), "ext.wasm", "extensions.lock"]);
    assert_eq!(fs::read(here.path(&kept)).unwrap(), old);
    assert_eq!(here.lock().extensions["ext"].about.version, "2.0.0");
}

#[tokio::test]
async fn only_the_version_before_is_kept_and_can_come_back() {
    let here = Here::new();
    let versions = ["1.0.0", "2.0.0", "3.0.0"].map(version);
    for bytes in &versions {
        here.replace("ext", bytes).await.unwrap();
    }
    assert_eq!(here.names()[0], format!(".ext.{}.old", short(&versions[1])));
    let back = here.installer().await.roll_back("ext").await.unwrap();
    assert_eq!(back.about.version, "2.0.0");
    assert_eq!(fs::read(here.path("ext.wasm")).unwrap(), versions[1]);
    assert_eq!(
        here.names(),
        [format!(".ext.{}.old", short(&versions[2])), "ext.wasm".into(), "extensions.lock".into()]
    );
    assert_eq!(here.installer().await.roll_back("ext").await.unwrap().about.version, "3.0.0");

    here.add("other", &versions[0]).await.unwrap();
    let error = here.installer().await.roll_back("other").await.unwrap_err();
    assert!(matches!(error, InstallError::NoPrevious { .. }), "{error}");
}

/// Each is refused, and the installed one stays, also where it was to be replaced.
#[tokio::test]
async fn a_bad_one_changes_nothing() {
    let here = Here::new();
    here.add("ext", &version("1.0.0")).await.unwrap();
    let before = here.tree();
    let truncated = version("2.0.0");
    let bad: [(&str, Vec<u8>); 7] = [
        ("not a WebAssembly component", b"hello".to_vec()),
        ("core WebAssembly module", b"\0asm\x01\0\0\0".to_vec()),
        ("not a valid component", truncated[..truncated.len() - 7].to_vec()),
        ("does not export `postroom:extension/handler", mock::binary("(component)")),
        ("failed when it was loaded", mock::component("", &[mock::replying("1"), mock::describing("unreachable")])),
        ("control character", mock::component("", &[mock::replying("1"), mock::described("\u{1b}[2J", "a", "b")])),
        (
            "types of this contract",
            mock::component(
                "",
                &[mock::replying("1")
                    .with_signature("(param \"message\" $message) (result (result string (error $failure)))")],
            ),
        ),
    ];
    for (reason, bytes) in bad {
        for name in ["ext", "new"] {
            let error = here.replace(name, &bytes).await.unwrap_err().to_string();
            assert!(error.contains(reason), "{reason}: {error}");
            assert_eq!(here.tree(), before, "{reason}");
        }
    }
}

#[tokio::test]
async fn names_that_lead_elsewhere_or_are_taken_are_refused() {
    let here = Here::new();
    let bytes = version("1.0.0");
    for name in [
        "../../x", "a/b", "/etc/x", "", ".", "..", ".hidden", "CON", "nul", "com1.x", "a b", "postroom", "status", "-x",
    ] {
        let error = here.add(name, &bytes).await.unwrap_err();
        assert!(matches!(error, InstallError::Name { .. }), "{name}: {error}");
    }
    assert_eq!(here.names(), Vec::<String>::new());
    assert_eq!(fs::read_dir(here.0.path()).unwrap().count(), 1, "nothing beside the folder");
}

#[tokio::test]
async fn what_is_removed_is_gone_with_its_earlier_version() {
    let here = Here::new();
    for text in ["1.0.0", "2.0.0"] {
        here.replace("ext", &version(text)).await.unwrap();
    }
    here.add("other", &version("1.0.0")).await.unwrap();
    let removed = here.installer().await.remove("ext", Dependents::Refuse).unwrap();
    assert_eq!(removed, ["ext"]);
    assert_eq!(here.names(), ["extensions.lock", "other.wasm"]);
    let error = here.installer().await.remove("otter", Dependents::Refuse).unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("did you mean other?"));
    here.installer().await.remove("../extensions/other", Dependents::Refuse).unwrap_err();
    assert_eq!(here.names(), ["extensions.lock", "other.wasm"]);
}

#[tokio::test]
async fn a_broken_file_can_be_removed() {
    let here = Here::new();
    here.add("ext", &version("1.0.0")).await.unwrap();
    fs::write(here.path("bad.wasm"), "garbage").unwrap();
    let mut installer = here.installer().await;
    assert_eq!(installer.broken().len(), 1);
    assert_eq!(installer.remove("bad", Dependents::Refuse).unwrap(), ["bad"]);
    assert!(installer.broken().is_empty());
    drop(installer);
    assert_eq!(here.names(), ["ext.wasm", "extensions.lock"]);
}

/// What others put there, take away or change by hand is found, by the next command.
#[tokio::test]
async fn the_files_are_the_truth() {
    let here = Here::new();
    for name in ["changed", "gone", "stays"] {
        here.add(name, &version("1.0.0")).await.unwrap();
    }
    fs::write(here.path("changed.wasm"), version("2.0.0")).unwrap();
    fs::write(here.path("new.wasm"), version("3.0.0")).unwrap();
    fs::write(here.path("bad.wasm"), "garbage").unwrap();
    fs::remove_file(here.path("gone.wasm")).unwrap();
    let survey = here.place().survey().await.unwrap();
    let behind = LockState::Behind { names: ["changed", "gone", "new"].map(str::to_owned).into() };
    assert_eq!(survey.lock, behind);
    let versions = |lock: &std::collections::BTreeMap<String, _>| -> Vec<String> {
        lock.iter()
            .map(|(name, locked): (_, &postroom::extension::lock_file::Locked)| {
                format!("{name} {}", locked.about.version)
            })
            .collect()
    };
    assert_eq!(versions(&survey.extensions), ["changed 2.0.0", "new 3.0.0", "stays 1.0.0"]);
    assert!(survey.works("new") && !survey.works("bad") && !survey.works("gone"));
    let (installer, told) = here.open().await;
    assert_eq!(told, ["extensions.lock was brought up to date: changed, gone, new"]);
    assert_eq!(versions(&installer.lock().extensions), versions(&survey.extensions));
    drop(installer);
    here.installer().await;
}

#[tokio::test]
async fn a_damaged_lock_file_is_moved_aside_and_made_again() {
    let here = Here::new();
    here.add("ext", &version("1.0.0")).await.unwrap();
    let good = here.lock();
    for number in 1..3 {
        fs::write(here.path("extensions.lock"), "version = 1\n[[extension]]\nname = ").unwrap();
        let survey = here.place().survey().await.unwrap();
        assert!(matches!(survey.lock, LockState::Damaged { .. }) && survey.works("ext"));
        let (installer, told) = here.open().await;
        assert!(told[0].contains(&format!("is now extensions.lock.damaged-{number}")), "{told:?}");
        drop(installer);
        assert_eq!(here.lock(), good);
    }
    assert!(here.names().contains(&"extensions.lock.damaged-2".to_owned()));
}

#[tokio::test]
async fn a_newer_lock_file_is_refused_and_stays() {
    let here = Here::new();
    here.add("ext", &version("1.0.0")).await.unwrap();
    fs::write(here.path("extensions.lock"), "version = 2\n").unwrap();
    let before = here.tree();
    let error = Installer::open(here.place(), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("has format 2") && error.hint().is_some(), "{error}");
    assert!(here.place().survey().await.is_err());
    assert_eq!(here.tree(), before);
}

#[tokio::test]
async fn grants_go_into_the_settings_with_the_extension_and_not_without() {
    let here = Here::new();
    let settings = "# mine\n[extension.ext]\nconcurrency = 2 # two\n";
    fs::write(here.place().settings, settings).unwrap();
    let grants = vec![Grant::Bus, Grant::Log];
    let bad = Candidate { name: "ext".into(), bytes: mock::binary("(component)"), grants: grants.clone() };
    here.installer().await.add(bad, Existing::Refuse).await.unwrap_err();
    assert_eq!(fs::read_to_string(here.place().settings).unwrap(), settings);
    let good = Candidate { name: "ext".into(), bytes: version("1.0.0"), grants };
    let installed = here.installer().await.add(good, Existing::Refuse).await.unwrap();
    assert_eq!(installed.granted, ["bus", "log"]);
    let granted = fs::read_to_string(here.place().settings).unwrap();
    assert_eq!(granted, format!("{settings}grants = [\"bus\", \"log\"]\n"));
}

/// Checking a component takes seconds, in which an editor saves the settings.
#[tokio::test]
async fn what_is_edited_in_the_settings_meanwhile_stays() {
    let here = Here::new();
    let settings = here.place().settings;
    fs::write(&settings, "[bus]\ngrace_ms = 7\n").unwrap();
    let mut installer = here.installer().await;
    let edited = "[bus]\ngrace_ms = 8 # edited\n";
    fs::write(&settings, edited).unwrap();
    let good = Candidate { name: "ext".into(), bytes: version("1.0.0"), grants: vec![Grant::Bus] };
    assert_eq!(installer.add(good, Existing::Refuse).await.unwrap().granted, ["bus"]);
    assert_eq!(fs::read_to_string(&settings).unwrap(), format!("{edited}\n[extension.ext]\ngrants = [\"bus\"]\n"));
    // Half an edit is not written over.
    fs::write(&settings, "[bus").unwrap();
    let other = Candidate { name: "other".into(), bytes: version("1.0.0"), grants: vec![Grant::Bus] };
    let error = installer.add(other, Existing::Refuse).await.unwrap_err();
    assert!(matches!(error, InstallError::Settings { .. }), "{error}");
    assert_eq!(fs::read_to_string(&settings).unwrap(), "[bus");
    assert!(!here.path("other.wasm").exists());
}

#[tokio::test]
async fn what_is_undone_takes_back_its_grants_and_no_edit() {
    let here = Here::new();
    let settings = here.place().settings;
    here.installer().await;
    fs::write(&settings, "# mine\n[extension.ext]\ngrants = [\"log\"]\n").unwrap();
    let bytes = version("1.0.0");
    // As it is left by one that was killed: begun, the grant written, the file not in its place.
    let under_way =
        UnderWay::Install { name: "ext".into(), sha256: ComponentHash::of(&bytes), added_grants: vec!["bus".into()] };
    let lock = LockFile { under_way: vec![under_way], ..LockFile::default() };
    fs::write(here.path("extensions.lock"), lock.to_text()).unwrap();
    fs::write(&settings, "# edited\n[extension.ext]\ngrants = [\"log\", \"bus\"]\nconcurrency = 2\n").unwrap();
    let (_, told) = here.open().await;
    assert_eq!(told, ["the installation of ext was interrupted and is undone"]);
    let now = fs::read_to_string(&settings).unwrap();
    assert_eq!(now, "# edited\n[extension.ext]\ngrants = [\"log\"]\nconcurrency = 2\n");
}

/// Whoever only removes finishes what was interrupted, too, and leaves the version before to the next who looks.
#[tokio::test]
async fn removing_after_an_interrupted_upgrade_keeps_the_way_back() {
    let here = Here::new();
    let (old, new) = (version("1.0.0"), version("2.0.0"));
    for name in ["ext", "other"] {
        here.add(name, &old).await.unwrap();
    }
    // As it is left by one that was killed after the rename.
    let under_way = UnderWay::Install { name: "ext".into(), sha256: ComponentHash::of(&new), added_grants: Vec::new() };
    fs::write(here.path("extensions.lock"), LockFile { under_way: vec![under_way], ..here.lock() }.to_text()).unwrap();
    fs::write(here.path(&format!(".ext.{}.old", short(&old))), &old).unwrap();
    fs::remove_file(here.path("ext.wasm")).unwrap();
    fs::write(here.path("ext.wasm"), &new).unwrap();
    let (mut remover, told) = Installer::open_to_remove(here.place(), |_| panic!("nobody else is here")).unwrap();
    assert_eq!(told, ["the installation of ext was interrupted and is finished"]);
    assert_eq!(remover.remove("other", Dependents::Refuse).unwrap(), ["other"]);
    drop(remover);
    let (mut installer, told) = here.open().await;
    assert_eq!(told, ["extensions.lock was brought up to date: ext"]);
    assert_eq!(installer.roll_back("ext").await.unwrap().about.version, "1.0.0");
}

#[tokio::test]
async fn settings_that_are_wrong_stop_everything() {
    let here = Here::new();
    fs::write(here.place().settings, "[extensions]\ndri = 1\n").unwrap();
    let error = Installer::open(here.place(), |_| ()).await.unwrap_err();
    assert!(matches!(&error, InstallError::Settings { .. }) && error.hint().unwrap().contains("dir"), "{error}");
}

/// A link to where it is built is an installed extension like any other; replacing it leaves what it leads to alone.
#[tokio::test]
async fn a_link_is_replaced_not_followed() {
    let here = Here::new();
    here.installer().await;
    let built = here.0.path().join("built.wasm");
    fs::write(&built, version("1.0.0")).unwrap();
    std::os::unix::fs::symlink(&built, here.path("ext.wasm")).unwrap();
    here.open().await;
    here.replace("ext", &version("2.0.0")).await.unwrap();
    assert!(fs::symlink_metadata(here.path("ext.wasm")).unwrap().is_file());
    assert_eq!(fs::read(&built).unwrap(), version("1.0.0"));
    assert_eq!(here.installer().await.roll_back("ext").await.unwrap().about.version, "1.0.0");
}

/// The second waits, is told so, and finds what the first has done.
#[test]
fn one_holder_at_a_time() {
    let here = Here::new();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut first = runtime().block_on(here.installer());
    let (say, said) = std::sync::mpsc::channel();
    let place = here.place();
    let second = std::thread::spawn(move || {
        let waiting = move |who: &str| say.send(who.to_owned()).unwrap();
        let (mut installer, told) = runtime().block_on(Installer::open(place, waiting)).unwrap();
        assert_eq!(told, Vec::<String>::new());
        runtime().block_on(installer.add(candidate("b", &version("1.0.0")), Existing::Refuse)).unwrap();
    });
    let who = said.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    assert_eq!(who, format!("process {}", std::process::id()));
    runtime().block_on(first.add(candidate("a", &version("1.0.0")), Existing::Refuse)).unwrap();
    drop(first);
    second.join().unwrap();
    assert_eq!(here.lock().extensions.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn a_folder_that_is_a_file_is_an_error_that_names_it() {
    let here = Here::new();
    fs::write(here.place().folder, "x").unwrap();
    let error = Installer::open(here.place(), |_| ()).await.unwrap_err().to_string();
    assert!(error.contains(Path::new("extensions").to_str().unwrap()), "{error}");
}

/// What the lock file knows is not read again; a file that is another one than it says does not run as that one.
#[tokio::test]
async fn what_is_known_is_read_at_its_first_use() {
    let here = Here::new();
    for name in ["a", "b"] {
        here.add(name, &version("1.0.0")).await.unwrap();
    }
    let folder = here.place().folder;
    let configuration = Configuration::default();
    let (host, broken) = load_installed(&folder, &configuration).await.unwrap();
    assert_eq!(broken, []);
    assert_eq!(host.package("b").unwrap().about.version, "1.0.0");
    // After the set was loaded, the content changes in place.
    fs::write(here.path("b.wasm"), version("2.0.0")).unwrap();
    assert_eq!(replied(handle(&host, "a", call("{}")).await), "\"1.0.0\"");
    let failure = failed(handle(&host, "b", call("{}")).await);
    assert!(failure.message.contains("its file is another one than when it was loaded"), "{failure:?}");
    let (host, _) = load_installed(&folder, &configuration).await.unwrap();
    assert_eq!(host.package("b").unwrap().about.version, "2.0.0");
    assert_eq!(replied(handle(&host, "b", call("{}")).await), "\"2.0.0\"");
}
