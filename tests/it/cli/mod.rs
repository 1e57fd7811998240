//! The command line: help, completions, exit codes, and the verbs that build nothing.

mod completions;
mod documented;
mod verbs;

use std::path::Path;
use std::process::{Command, Output};

/// kiln in `dir`, which is also its HOME, with nothing else of this machine's environment.
fn kiln(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.env_clear().env("HOME", dir).current_dir(dir);
    command
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Standard output of a command that must succeed.
fn stdout(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Exit code and standard error of a command that must print nothing to standard output.
fn failure(command: &mut Command) -> (i32, String) {
    let output = run(command);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{command:?}");
    (output.status.code().expect("no signal"), String::from_utf8(output.stderr).expect("UTF-8"))
}

/// The verbs that `kiln --help` lists.
fn verbs() -> Vec<String> {
    let help = stdout(kiln(Path::new("/")).arg("--help"));
    let list = help.split("Commands:\n").nth(1).expect("a list of verbs").split("\n\n").next().expect("its end");
    let verbs: Vec<String> = list
        .lines()
        .filter_map(|line| Some(line.strip_prefix("  ")?.split(' ').next()?.to_owned()))
        .filter(|verb| !verb.is_empty() && verb != "help")
        .collect();
    assert!(verbs.len() >= 8, "{help}");
    verbs
}
