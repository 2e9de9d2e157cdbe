//! `bindings-c WIT WORLD OUT`: writes the C side of a world into the folder OUT, as `wit-bindgen c` does: a header, the glue, and the
//! object file that carries its types. Here so that building a guest in C needs nothing but cargo and clang.

use std::{env, error::Error, fs, path::Path, process::ExitCode};

use wit_bindgen_c::Opts;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [wit, world, out] = arguments.as_slice() else {
        eprintln!("usage: bindings-c WIT WORLD OUT");
        return ExitCode::from(2);
    };
    match write_bindings(Path::new(wit), world, Path::new(out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: writing the C side of `{world}` in {wit}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write_bindings(wit: &Path, world: &str, out: &Path) -> Result<(), Box<dyn Error>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    Opts::default().build().generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(out)?;
    for (name, bytes) in files.iter() {
        fs::write(out.join(name), bytes)?;
    }
    Ok(())
}
