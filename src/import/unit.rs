//! The command line of a service, out of its unit, drop-ins and environment files (systemd.syntax(7), systemd.service(5)).

use super::ImportError;
use super::words::{Environment, Word, assignments, joined, words};

/// A text and its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    /// As it was given.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// A word and the file it stands in.
#[derive(Debug, Clone)]
pub(super) struct Placed<'a> {
    /// The word.
    pub word: Word,
    /// The file.
    pub file: &'a str,
}

impl Placed<'_> {
    /// File and line.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.word.line)
    }
}

/// What a service runs.
#[derive(Debug, Default)]
pub(super) struct Service<'a> {
    /// The words of its command.
    pub command: Vec<Placed<'a>>,
    /// Files with variables that it reads and that were not given: where that is said, and their paths.
    pub missing: Vec<(String, String)>,
}

/// Whether `text` is a unit or a drop-in of one.
pub(super) fn is_unit(text: &str) -> bool {
    text.lines().any(|line| matches!(line.trim(), "[Service]" | "[Unit]" | "[Install]"))
}

/// The service that `units` (the unit before its drop-ins) describe, with the variables of `files`.
pub(super) fn service<'a>(units: &[Text<'a>], files: &[Text<'a>]) -> Result<Service<'a>, ImportError> {
    let mut environment = Environment::new();
    let mut from_files = Environment::new();
    let mut service = Service::default();
    let mut start: Option<(Text<'a>, Vec<(char, u32)>)> = None;
    for unit in units {
        for (key, value) in settings(unit.text) {
            let line = value.first().map_or(0, |(_, line)| *line);
            let place = || format!("{}:{line}", unit.name);
            match key.as_str() {
                "Environment" => {
                    let assigned = split(&value, None, unit.name)?;
                    if assigned.is_empty() {
                        environment.clear();
                    }
                    for word in assigned {
                        if let Some((name, value)) = word.text.split_once('=') {
                            environment.insert(name.to_owned(), value.to_owned());
                        }
                    }
                }
                "EnvironmentFile" => {
                    let path: String = value.iter().map(|(c, _)| *c).collect();
                    let path = path.trim().trim_start_matches('-');
                    if path.is_empty() {
                        from_files.clear();
                        service.missing.clear();
                        continue;
                    }
                    match files.iter().find(|file| is_file(file.name, path)) {
                        Some(file) => {
                            for (name, word) in variables(file)? {
                                from_files.insert(name, word.text);
                            }
                        }
                        None => service.missing.push((place(), path.to_owned())),
                    }
                }
                // An empty one takes back those before it.
                "ExecStart" => start = Some((*unit, value)),
                _ => {}
            }
        }
    }
    // Files win over assignments, wherever they stand.
    environment.extend(from_files);
    let Some((unit, command)) = start else { return Ok(service) };
    let command = split(&command, Some(&environment), unit.name)?;
    service.command = command.into_iter().map(|word| Placed { word, file: unit.name }).collect();
    service.command = unwrapped(service.command, &environment)?;
    Ok(service)
}

/// What `sh -c "…"` runs.
fn unwrapped<'a>(command: Vec<Placed<'a>>, environment: &Environment) -> Result<Vec<Placed<'a>>, ImportError> {
    let is_shell = command.first().is_some_and(|first| matches!(base(&first.word.text), "sh" | "bash" | "dash"));
    let script = command.iter().position(|it| it.word.text.starts_with('-') && it.word.text.ends_with('c'));
    let Some(script) = script.filter(|_| is_shell).and_then(|at| command.get(at + 1)) else { return Ok(command) };
    let inner = split(&joined(&script.word.text, script.word.line), Some(environment), script.file)?;
    Ok(inner.into_iter().map(|word| Placed { word, file: script.file }).collect())
}

/// The variables of an environment file, in order.
pub(super) fn variables(file: &Text<'_>) -> Result<Vec<(String, Word)>, ImportError> {
    assignments(file.text).map_err(|(line, why)| ImportError::at(format!("{}:{line}", file.name), why))
}

/// The words of a command line that stands in `name`.
pub(super) fn split(
    value: &[(char, u32)],
    environment: Option<&Environment>,
    name: &str,
) -> Result<Vec<Word>, ImportError> {
    words(value, environment).map_err(|(line, why)| ImportError::at(format!("{name}:{line}"), why))
}

/// The last part of a path, without what systemd accepts before a program.
pub(super) fn base(program: &str) -> &str {
    program.trim_start_matches(['-', '@', ':', '+', '!']).rsplit('/').next().unwrap_or_default()
}

/// Whether the file given as `name` is the node's `path`: they end alike.
pub(super) fn is_file(name: &str, path: &str) -> bool {
    let (name, path) = (name.trim_start_matches("./"), path.trim_matches('"'));
    name == path || base(name) == base(path) || path.ends_with(&format!("/{name}"))
}

/// A setting of the section `[Service]`: key and value, with lines.
type Setting = (String, Vec<(char, u32)>);

/// The settings of `[Service]`, in order. Comments may stand between continued lines.
fn settings(text: &str) -> Vec<Setting> {
    let is_comment = |line: &str| line.trim_start().starts_with(['#', ';']);
    // An empty line would end what a comment does not.
    let mut kept = Vec::new();
    let mut continued = false;
    for (line, number) in text.lines().zip(1..) {
        if !(continued && is_comment(line)) {
            kept.push((line, number));
            continued = line.ends_with('\\') && !is_comment(line);
        }
    }
    let (mut settings, mut section) = (Vec::<Setting>::new(), String::new());
    let mut open = false;
    for (line, number) in kept {
        if !open {
            let trimmed = line.trim();
            if trimmed.is_empty() || is_comment(trimmed) {
                continue;
            }
            if let Some(name) = trimmed.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
                continue;
            }
            let Some((key, _)) = trimmed.split_once('=') else { continue };
            settings.push((if section == "Service" { key.trim().to_owned() } else { String::new() }, Vec::new()));
        }
        let begin = if open { 0 } else { line.find('=').map_or(0, |sign| sign + 1) };
        open = line.ends_with('\\');
        if let Some((_, value)) = settings.last_mut() {
            let mut chars = joined(&line[begin..], number);
            if value.is_empty() {
                let blank = chars.iter().take_while(|(c, _)| c.is_whitespace() && *c != '\n').count();
                chars.drain(..blank);
            }
            value.extend(chars);
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(units: &[&str], files: &[(&'static str, &'static str)]) -> Vec<String> {
        let units: Vec<_> = units.iter().map(|text| Text { name: "kubelet.service", text }).collect();
        let files: Vec<_> = files.iter().map(|(name, text)| Text { name, text }).collect();
        let service = service(&units, &files).expect("a service");
        service.command.iter().map(|it| it.word.text.clone()).collect()
    }

    #[test]
    fn kubeadms_drop_in() {
        let unit = "[Unit]\nExecStart=no\n[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\n";
        let drop_in = "[Service]\nEnvironment=\"A=--a=1 --b=2\" 'B=--c'\nEnvironmentFile=-/var/lib/kubelet/flags.env\n\
                       EnvironmentFile=-/etc/default/kubelet\nExecStart=\nExecStart=/usr/bin/kubelet $A \\\n  # why\n  $B ${C}\n";
        assert_eq!(
            command(&[unit, drop_in], &[("kubelet", "B=\"--d --e\"\n")]),
            ["/usr/bin/kubelet", "--a=1", "--b=2", "--d", "--e", "${C}"]
        );
        let units = [Text { name: "u", text: unit }, Text { name: "d", text: drop_in }];
        let service = service(&units, &[]).expect("a service");
        let paths: Vec<_> = service.missing.iter().map(|(_, path)| path.as_str()).collect();
        assert_eq!(paths, ["/var/lib/kubelet/flags.env", "/etc/default/kubelet"]);
        assert_eq!(service.missing[0].0, "d:3");
    }

    #[test]
    fn a_shell_between() {
        let unit = "[Service]\nExecStart=/bin/bash -ec \"exec kubelet --a=1 \\\n  --b=${X}\"\nEnvironment=X=2\n";
        assert_eq!(command(&[unit], &[]), ["exec", "kubelet", "--a=1", "--b=2"]);
        assert!(is_unit(unit) && !is_unit("A=b\n"));
    }
}
