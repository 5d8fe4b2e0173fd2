//! Builds the compiled part of the workers, which the binary carries beside their Python sources: a library of its own, for whatever
//! interpreter a project has. Cargo can't make a library for a binary to include (RFC 3028), so its compiler is asked here.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The folder of the sources, from that of this crate.
const SOURCES: &str = "../../worker/probes/src";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SOURCES}");
    println!("cargo:rerun-if-changed=build.rs");
    let library = PathBuf::from(env::var("OUT_DIR")?).join("probes.so");
    // Elsewhere objects are laid out in another way, or libraries linked in another. Workers do without it there.
    let is_for_64_bits = env::var("CARGO_CFG_TARGET_POINTER_WIDTH")? == "64";
    let undefined: &[&str] = match env::var("CARGO_CFG_TARGET_OS")?.as_str() {
        "linux" => &[],
        "macos" => &["-Clink-arg=-undefined", "-Clink-arg=dynamic_lookup"],
        _ => return Ok(fs::write(library, [])?),
    };
    if !is_for_64_bits {
        return Ok(fs::write(library, [])?);
    }
    let mut compiler = Command::new(env::var("RUSTC")?);
    compiler
        .args([
            "--edition=2024",
            "--crate-type=cdylib",
            "--crate-name=probes",
        ])
        .args([
            "--cfg=carried",
            "--check-cfg=cfg(carried)",
            "--cap-lints=allow",
        ])
        .args(["-Copt-level=3", "-Cpanic=abort", "-Cstrip=symbols"])
        .arg(format!("--target={}", env::var("TARGET")?))
        .args(undefined);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg(format!("-Clinker={linker}"));
    }
    let status = compiler
        .arg("-o")
        .arg(&library)
        .arg(format!("{SOURCES}/lib.rs"))
        .status()?;
    if !status.success() {
        return Err(format!("`{compiler:?}` ended with {status}").into());
    }
    // Interpreters have no unwinder, and workers would do without the whole library.
    let unwinder = b"rust_eh_personality";
    let content = fs::read(library)?;
    if content.windows(unwinder.len()).any(|name| name == unwinder) {
        return Err("something in worker/probes wants to unwind: `map` of an array does".into());
    }
    Ok(())
}
