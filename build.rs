//! Builds `init` — the static `/init` of network-booted nodes — for embedding, and nothing else.
//!
//! Stable cargo cannot depend on another package's binary, so this runs cargo once more, with a target directory of its own. The
//! result is the same from whatever folder it is built. `KILN_INIT=path` embeds a binary built elsewhere, say for
//! another architecture.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What would change the nested build behind our back: flags and wrappers of the outer one.
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

fn main() -> ExitCode {
    match prepare() {
        Ok(init) => {
            println!("cargo::rustc-env=KILN_INIT_PATH={}", init.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn prepare() -> Result<PathBuf, String> {
    for path in ["build.rs", "Cargo.toml", "Cargo.lock", "init/Cargo.toml", "init/src"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-env-changed=KILN_INIT");
    if let Some(path) = env::var_os("KILN_INIT").map(PathBuf::from) {
        println!("cargo::rerun-if-changed={}", path.display());
        return path.canonicalize().map_err(|error| format!("KILN_INIT={}: {error}", path.display()));
    }
    build("kiln-init")
}

/// Builds the workspace member `package` statically for the host and returns its binary.
fn build(package: &str) -> Result<PathBuf, String> {
    let source = PathBuf::from(var("CARGO_MANIFEST_DIR")?);
    let target_dir = PathBuf::from(var("OUT_DIR")?).join("nested");
    // Images run on kiln's own architecture; `+crt-static` also needs a target that is spelt out.
    let target = var("HOST")?;
    let mut cargo = Command::new(var("CARGO")?);
    cargo.current_dir(&source).args(["build", "--locked", "--quiet", "--profile", "init", "--package", package]);
    cargo.args(["--target", &target]).arg("--target-dir").arg(&target_dir);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(&source, &target_dir)?.join("\x1f"));
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
fn flags(source: &Path, target_dir: &Path) -> Result<Vec<String>, String> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .ok_or("neither CARGO_HOME nor HOME is set")?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    Ok(vec![
        "-Ctarget-feature=+crt-static".into(),
        // It maps itself before there is anything to attack it: position independence would only cost relocations.
        "-Crelocation-model=static".into(),
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
