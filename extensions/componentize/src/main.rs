//! `componentize CORE.wasm OUT.wasm`: makes a component of a core module that `wit-bindgen` has left its types in, as
//! `wasm-tools component new` does. Here so that building a guest needs nothing but cargo.

use std::{env, error::Error, fs, process::ExitCode};

use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [core, out] = arguments.as_slice() else {
        eprintln!("usage: componentize CORE.wasm OUT.wasm");
        return ExitCode::from(2);
    };
    match componentize(core, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: making a component of {core}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn componentize(core: &str, out: &str) -> Result<(), Box<dyn Error>> {
    let component = ComponentEncoder::default().module(&fs::read(core)?)?.validate(true).encode()?;
    Ok(fs::write(out, component)?)
}
