//! Builds the static programs of nodes for embedding: `init`, which is `/init` of network-booted
//! nodes, and `agent`.
//!
//! Stable cargo cannot depend on another package's binary, so this runs cargo once more for each
//! program, with a separate target directory. The results do not depend on the folder in which they
//! are built. `KILN_INIT=path` and `KILN_AGENT=path` embed binaries that were built elsewhere, for
//! example for another architecture.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The path of the workspace relative to this package.
const WORKSPACE: &str = "../..";

/// Variables that would change the nested build: flags and wrappers of the outer build.
const FOREIGN: [&str; 8] = [
    "RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_BUILD_DIR",
    "CARGO_BUILD_RUSTFLAGS",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC",
];

/// A program of nodes: a workspace member with one binary of the same name.
struct Program {
    package: &'static str,
    directory: &'static str,
    /// The environment variable that names a binary built elsewhere; with the suffix `_PATH`, the
    /// variable that the sources embed.
    variable: &'static str,
    relocation_model: &'static str,
}

const PROGRAMS: [Program; 2] = [
    // It runs before anything could attack it, so position independence would only cost
    // relocations.
    Program { package: "kiln-init", directory: "init", variable: "KILN_INIT", relocation_model: "static" },
    Program { package: "kiln-agent", directory: "agent", variable: "KILN_AGENT", relocation_model: "pic" },
];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    for path in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={WORKSPACE}/{path}");
    }
    for program in &PROGRAMS {
        match prepare(program) {
            Ok(path) => println!("cargo::rustc-env={}_PATH={}", program.variable, path.display()),
            Err(error) => {
                println!("cargo::error={error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn prepare(program: &Program) -> Result<PathBuf, String> {
    let Program { directory, variable, .. } = program;
    println!("cargo::rerun-if-env-changed={variable}");
    if let Some(path) = env::var_os(variable).map(PathBuf::from) {
        println!("cargo::rerun-if-changed={}", path.display());
        return path.canonicalize().map_err(|error| format!("{variable}={}: {error}", path.display()));
    }
    println!("cargo::rerun-if-changed={WORKSPACE}/{directory}/Cargo.toml");
    println!("cargo::rerun-if-changed={WORKSPACE}/{directory}/src");
    build(program)
}

/// Builds the workspace member statically for the host and returns its binary.
fn build(program: &Program) -> Result<PathBuf, String> {
    let package = program.package;
    let source = PathBuf::from(var("CARGO_MANIFEST_DIR")?).join(WORKSPACE);
    let source = source.canonicalize().map_err(|error| format!("{}: {error}", source.display()))?;
    let target_dir = PathBuf::from(var("OUT_DIR")?).join("nested");
    // Images run on kiln's own architecture; `+crt-static` also needs an explicit target.
    let target = var("HOST")?;
    let mut cargo = Command::new(var("CARGO")?);
    cargo.current_dir(&source).args(["build", "--locked", "--quiet", "--profile", "init", "--package", package]);
    cargo.args(["--target", &target]).arg("--target-dir").arg(&target_dir);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(program, &source, &target_dir)?.join("\x1f"));
    for (name, _) in env::vars_os().filter(|(name, _)| is_foreign(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    let output = cargo.output().map_err(|error| format!("running cargo for {package}: {error}"))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
        return Err(format!("building {package} ({target}, static; needs the package libc6-dev): {log}"));
    }
    Ok(target_dir.join(target).join("init").join(package))
}

fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name)
        || name.starts_with("CARGO_PROFILE_")
        || (name.starts_with("CARGO_TARGET_") && name.ends_with("_RUSTFLAGS"))
}

/// A static executable without this machine's paths in it.
fn flags(program: &Program, source: &Path, target_dir: &Path) -> Result<Vec<String>, String> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .ok_or("neither CARGO_HOME nor HOME is set")?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    Ok(vec![
        "-Ctarget-feature=+crt-static".into(),
        format!("-Crelocation-model={}", program.relocation_model),
        // The index of unwind tables: panics abort, so nothing looks anything up in it.
        "-Clink-arg=-Wl,--no-eh-frame-hdr".into(),
        // The later of several matching prefixes wins.
        remap(&home, "/cargo"),
        remap(source, "/kiln"),
        remap(target_dir, "/target"),
        remap(&sysroot()?.join("lib/rustlib/src/rust"), "/rust"),
    ])
}

fn sysroot() -> Result<PathBuf, String> {
    let rustc = var("RUSTC")?;
    let output = Command::new(&rustc)
        .args(["--print", "sysroot"])
        .output()
        .map_err(|error| format!("running {rustc} --print sysroot: {error}"))?;
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}

fn var(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}; build kiln with cargo"))
}
