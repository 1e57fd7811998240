//! The command line of a service, from its unit, drop-ins and environment files (systemd.syntax(7),
//! systemd.service(5)).

use super::ImportError;
use super::words::{Environment, Variable, Word, assignments, joined, words};
use std::collections::{BTreeMap, BTreeSet};

/// A file's text and its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    /// The name as given.
    pub name: &'a str,
    /// The contents.
    pub text: &'a str,
}

/// A word and its file.
#[derive(Debug, Clone)]
pub(super) struct Placed<'a> {
    /// The word.
    pub word: Word,
    /// The file.
    pub file: &'a str,
}

impl Placed<'_> {
    /// File and line.
    pub(super) fn place(&self) -> String {
        self.word.origin.clone().unwrap_or_else(|| format!("{}:{}", self.file, self.word.line))
    }
}

/// The command of a service.
#[derive(Debug, Default)]
pub(super) struct Service<'a> {
    /// The words of its command.
    pub command: Vec<Placed<'a>>,
    /// Environment files that it reads and that were not given: the place that names each, and its
    /// path.
    pub missing: Vec<(String, String)>,
    /// Names of the given environment files that it does not read.
    pub unread: Vec<&'a str>,
}

/// Whether `text` is a unit or a drop-in of one.
pub(super) fn is_unit(text: &str) -> bool {
    text.lines().any(|line| matches!(line.trim(), "[Service]" | "[Unit]" | "[Install]"))
}

/// The service described by `units` (the unit before its drop-ins), with the variables of `files`.
pub(super) fn service<'a>(units: &[Text<'a>], files: &[Text<'a>]) -> Result<Service<'a>, ImportError> {
    let mut environment = Environment::new();
    let mut from_files = Environment::new();
    let named = match_files(units, files);
    let is_read = |number: &usize| named.values().any(|named| named == number);
    let unread = (0..files.len()).filter(|number| !is_read(number)).map(|number| files[number].name).collect();
    let mut service = Service { unread, ..Service::default() };
    let mut start: Option<(Text<'a>, Vec<(char, u32)>)> = None;
    for unit in units {
        for (key, value) in settings(unit.text) {
            let value = if key == "EnvironmentFile" { value } else { specifiers(value) };
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
                            let place = format!("{}:{}", unit.name, word.line);
                            environment.insert(name.to_owned(), Variable { text: value.to_owned(), place });
                        }
                    }
                }
                "EnvironmentFile" => {
                    let path = file_path(&value);
                    if path.is_empty() {
                        from_files.clear();
                        service.missing.clear();
                        continue;
                    }
                    match named.get(&path).map(|number| files[*number]) {
                        Some(file) => {
                            for (name, word) in variables(&file)? {
                                let place = format!("{}:{}", file.name, word.line);
                                from_files.insert(name, Variable { text: word.text, place });
                            }
                        }
                        None => service.missing.push((place(), path)),
                    }
                }
                // An empty value resets earlier ones.
                "ExecStart" => start = Some((*unit, value)),
                _ => {}
            }
        }
    }
    // Files override Environment=, regardless of their order.
    environment.extend(from_files);
    let Some((unit, command)) = start else { return Ok(service) };
    let command = split(&command, Some(&environment), unit.name)?;
    service.command = command.into_iter().map(|word| Placed { word, file: unit.name }).collect();
    service.command = inside_shell(service.command, &environment)?;
    Ok(service)
}

/// The command inside `sh -c "…"`.
fn inside_shell<'a>(command: Vec<Placed<'a>>, environment: &Environment) -> Result<Vec<Placed<'a>>, ImportError> {
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

/// The words of a command line in the file `name`.
pub(super) fn split(
    value: &[(char, u32)],
    environment: Option<&Environment>,
    name: &str,
) -> Result<Vec<Word>, ImportError> {
    words(value, environment).map_err(|(line, why)| ImportError::at(format!("{name}:{line}"), why))
}

/// The last part of a path, without the prefixes that systemd accepts before a program.
pub(super) fn base(program: &str) -> &str {
    program.trim_start_matches(['-', '@', ':', '+', '!']).rsplit('/').next().unwrap_or_default()
}

/// Resolves `%%` to a percent sign, as systemd.unit(5) says. The value of any other specifier is
/// known only on the node, like that of a variable that no file sets, so `%H` becomes such a
/// variable, `${%H}`.
fn specifiers(value: Vec<(char, u32)>) -> Vec<(char, u32)> {
    let mut chars = value.into_iter().peekable();
    let mut resolved = Vec::new();
    while let Some((c, line)) = chars.next() {
        match chars.peek().copied() {
            Some(('%', _)) if c == '%' => {
                chars.next();
                resolved.push(('%', line));
            }
            Some((letter, _)) if c == '%' && letter.is_ascii_alphabetic() => {
                chars.next();
                resolved.extend(['$', '{', '%', letter, '}'].map(|c| (c, line)));
            }
            _ => resolved.push((c, line)),
        }
    }
    resolved
}

/// The path of an `EnvironmentFile=`.
fn file_path(value: &[(char, u32)]) -> String {
    let path: String = value.iter().map(|(c, _)| *c).collect();
    path.trim().trim_start_matches('-').trim_matches('"').to_owned()
}

/// The index in `files` for each path that `units` name: the file whose name has the most trailing
/// parts in common with the path. Each file is used for one path, because `/etc/default/kubelet`
/// and `/etc/sysconfig/kubelet` are distinct.
fn match_files(units: &[Text<'_>], files: &[Text<'_>]) -> BTreeMap<String, usize> {
    let settings = units.iter().flat_map(|unit| settings(unit.text));
    let mut paths: Vec<String> =
        settings.filter(|(key, _)| key == "EnvironmentFile").map(|(_, value)| file_path(&value)).collect();
    let mut seen = BTreeSet::new();
    paths.retain(|path| !path.is_empty() && seen.insert(path.clone()));
    let pairs = paths.iter().flat_map(|path| (0..files.len()).map(move |number| (path, number)));
    let mut pairs: Vec<_> = pairs
        .map(|(path, number)| (common_suffix(files[number].name, path), path, number))
        .filter(|pair| pair.0 > 0)
        .collect();
    // The sort is stable: of equal pairs, the first comes first.
    pairs.sort_by_key(|(alike, ..)| std::cmp::Reverse(*alike));
    let mut named = BTreeMap::new();
    for (_, path, number) in pairs {
        if !named.contains_key(path) && !named.values().any(|taken| *taken == number) {
            named.insert(path.clone(), number);
        }
    }
    named
}

/// The number of trailing parts that `name` and `path` have in common.
fn common_suffix(name: &str, path: &str) -> usize {
    let parts = |path: &'_ str| path.split('/').rev().map(str::to_owned).collect::<Vec<_>>();
    parts(name).iter().zip(parts(path)).take_while(|(one, other)| *one == other).count()
}

/// A setting of the section `[Service]`: the key, and the value with line numbers.
type Setting = (String, Vec<(char, u32)>);

/// The settings of `[Service]`, in order. Comments may stand between continued lines.
fn settings(text: &str) -> Vec<Setting> {
    let is_comment = |line: &str| line.trim_start().starts_with(['#', ';']);
    // Comments are removed here, because an empty line in their place would end a continued value.
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
    fn kubeadms_drop_in_is_applied() {
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
    fn specifiers_are_not_resolved() {
        let unit = "[Service]\nEnvironment=\"A=--b=%H\"\nExecStart=/usr/bin/kubelet --eviction-hard=nodefs.available<10%% --n=%n $A\n";
        let words = ["/usr/bin/kubelet", "--eviction-hard=nodefs.available<10%", "--n=${%n}", "--b=${%H}"];
        assert_eq!(command(&[unit], &[]), words);
    }

    #[test]
    fn files_of_the_same_name_are_distinguished_by_their_paths() {
        let unit = "[Service]\nEnvironmentFile=-/etc/default/kubelet\nEnvironmentFile=-/etc/sysconfig/kubelet\nExecStart=/usr/bin/kubelet $A $B\n";
        let (default, sysconfig) = ("A=--a=1\nB=--b\n", "A=--a=2\n");
        let names = [("etc/sysconfig/kubelet", sysconfig), ("etc/default/kubelet", default)];
        assert_eq!(command(&[unit], &names), ["/usr/bin/kubelet", "--a=2", "--b"]);
        let units = [Text { name: "u", text: unit }];
        let files = [Text { name: "sysconfig/kubelet", text: sysconfig }, Text { name: "other.env", text: default }];
        let service = service(&units, &files).expect("a service");
        assert_eq!(service.missing, [("u:2".to_owned(), "/etc/default/kubelet".to_owned())]);
        assert_eq!(service.unread, ["other.env"]);
        assert_eq!(service.command[1].place(), "sysconfig/kubelet:1");
    }

    #[test]
    fn the_command_inside_a_shell_is_found() {
        let unit = "[Service]\nExecStart=/bin/bash -ec \"exec kubelet --a=1 \\\n  --b=${X}\"\nEnvironment=X=2\n";
        assert_eq!(command(&[unit], &[]), ["exec", "kubelet", "--a=1", "--b=2"]);
        assert!(is_unit(unit) && !is_unit("A=b\n"));
    }
}
