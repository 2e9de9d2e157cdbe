//! `postroom ext`, and the subcommands that extensions add.

mod changing;
mod concurrent;
mod downloading;
mod foreign;
mod going_back;
mod looking;
mod odd_files;
mod resolving;
mod starting;
mod surviving;

use super::runner::{Bus, Ran};

impl Bus {
    /// Writes a component beside the bus and returns its path.
    fn built(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.workspace().join(format!("{name}.wasm"));
        std::fs::write(&path, bytes).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn ext(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["ext"], arguments].concat())
    }

    fn add(&self, name: &str, bytes: &[u8]) -> Ran {
        self.ext(&["add", &self.built(name, bytes)])
    }

    fn installed(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.workspace().join("extensions").join(format!("{name}.wasm"))).ok()
    }

    /// Something that anybody puts into the folder of the extensions.
    fn put(&self, file: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.extensions().join(file), bytes).expect("written");
    }

    fn extensions(&self) -> std::path::PathBuf {
        self.workspace().join("extensions")
    }

    /// Every name in the folder of the extensions, hidden ones, too.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.extensions()).expect("listed");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The names of what is listed, and whether each can be used.
    fn listed(&self) -> Vec<(String, bool)> {
        let listed = self.ext(&["ls", "--json"]).ok().json();
        let rows = listed["extensions"].as_array().expect("a list");
        rows.iter().map(|row| (row["name"].as_str().expect("a name").to_owned(), row["broken"].is_null())).collect()
    }
}
