//! Help texts, README and completions mention only options that exist.

use super::{kiln, run, stdout, verbs};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The words after `kiln` in a line of shell, up to a comment, pipe or redirection.
fn words(line: &str) -> Vec<&str> {
    let end = line.find([';', '#', '|', '>']).unwrap_or(line.len());
    line[..end].split_whitespace().skip(1).map(|word| word.trim_matches('\'')).collect()
}

/// The kiln commands in `text`, each as a list of words.
fn commands(text: &str) -> Vec<Vec<&str>> {
    text.lines().filter(|line| line.trim_start().starts_with("kiln ")).map(words).collect()
}

/// Whether kiln accepts the command line; it is not executed.
fn is_accepted(words: &[&str]) -> Result<(), String> {
    let output = run(kiln(Path::new("/")).args(words).arg("--help"));
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn the_examples_of_every_verb_are_accepted() {
    for verb in verbs() {
        let help = stdout(kiln(Path::new("/")).args([&verb, "--help"]));
        let examples = help.split("Example").nth(1).unwrap_or_else(|| panic!("no example:\n{help}"));
        let commands = commands(examples);
        assert!(!commands.is_empty(), "no example:\n{help}");
        for words in commands {
            assert_eq!(words[0], verb, "{words:?} is not an example of {verb}");
            is_accepted(&words).unwrap_or_else(|error| panic!("kiln {words:?}: {error}"));
        }
    }
}

#[test]
fn the_readme_shows_every_verb_and_its_commands_are_accepted() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    let blocks: String = readme.split("```").skip(1).step_by(2).collect();
    let commands = commands(&blocks);
    for verb in verbs() {
        assert!(commands.iter().any(|words| words[0] == verb), "README.md does not show \"kiln {verb}\"");
    }
    for words in commands {
        is_accepted(&words).unwrap_or_else(|error| panic!("README.md: kiln {words:?}: {error}"));
    }
}

#[test]
fn an_unknown_option_is_detected() {
    assert!(is_accepted(&words("kiln build worker --frobnicate # why")).is_err());
    assert_eq!(words("kiln plan worker --json | jq ."), ["plan", "worker", "--json"]);
}

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
