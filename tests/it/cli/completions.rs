//! Completions speak of verbs and words that exist.

use super::{kiln, run, stdout, verbs};
use std::path::Path;
use std::process::Command;

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        // Packages are built without a home directory.
        let script = stdout(kiln(Path::new("/")).env_remove("HOME").args(["completions", shell]));
        for verb in verbs() {
            assert!(script.contains(&verb), "{shell} does not complete {verb}");
        }
    }
}

#[test]
fn bash_completes_with_what_it_is_given() {
    let script = stdout(kiln(Path::new("/")).args(["completions", "bash"]));
    let complete = "set -eu; source /dev/stdin <<<\"$1\"; COMP_WORDS=(kiln bui); COMP_CWORD=1; _kiln kiln bui kiln; echo \"${COMPREPLY[*]}\"";
    let mut bash = Command::new("bash");
    assert_eq!(stdout(bash.args(["-c", complete, "bash", &script])), "build\n");
    let output = run(Command::new("bash").args(["-n", "-c", &script]));
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
