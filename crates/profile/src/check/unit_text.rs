//! The text of units and drop-ins: errors for which systemd would silently not load a unit, or
//! ignore a part of it.
//!
//! Sources: systemd.syntax(7), systemd.unit(5), systemd.service(5); `service_verify`,
//! `socket_verify` and `timer_verify` of systemd.

use super::super::suggest;
use super::names;

/// Unit types with a section of their own.
const SECTIONS: [(&str, &str); 9] = [
    ("service", "Service"),
    ("socket", "Socket"),
    ("timer", "Timer"),
    ("path", "Path"),
    ("mount", "Mount"),
    ("automount", "Automount"),
    ("swap", "Swap"),
    ("slice", "Slice"),
    ("scope", "Scope"),
];

const TYPES: [&str; 8] = ["simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle"];
const RESTARTS: [&str; 7] = ["no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"];

/// Sections, each with the prefix of settings of which a unit needs at least one.
const NEEDED: [(&str, &str); 3] = [("Socket", "Listen"), ("Timer", "On"), ("Mount", "What")];

/// One `Key=value` and its section.
struct Setting<'a> {
    section: &'a str,
    key: &'a str,
    value: String,
}

/// Checks the text of `name`, a unit or a drop-in (`foo.service.d/10-bar.conf`). Required settings
/// are checked only in a `whole` unit.
pub(super) fn check(name: &str, text: &str, whole: bool) -> Result<(), String> {
    if text.contains('\0') {
        return Err("the text contains a NUL byte".to_owned());
    }
    if !text.lines().any(|line| line.starts_with('[')) {
        return Err("the text has no section, such as [Service]".to_owned());
    }
    let unit = name.split_once('/').map_or(name, |(directory, _)| directory.trim_end_matches(".d"));
    let kind = unit.rsplit('.').next().unwrap_or_default();
    let settings = parse(text, kind)?;
    settings.iter().filter(|setting| setting.section == "Service").try_for_each(service_setting)?;
    match whole {
        true if kind == "service" => service(&settings),
        true => needed(&settings, kind),
        false => Ok(()),
    }
}

fn parse<'a>(text: &'a str, kind: &str) -> Result<Vec<Setting<'a>>, String> {
    let own = SECTIONS.iter().find(|(of, _)| *of == kind).map(|(_, section)| *section);
    let known: Vec<&str> = ["Unit", "Install"].into_iter().chain(own).collect();
    let mut settings: Vec<Setting<'a>> = Vec::new();
    let (mut section, mut continues) = ("", false);
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            // A comment does not end a continued value.
            continues &= !line.is_empty();
            continue;
        }
        let (content, more) = line.strip_suffix('\\').map_or((line, false), |content| (content, true));
        if continues {
            if let Some(last) = settings.last_mut() {
                last.value.push(' ');
                last.value.push_str(content.trim());
            }
        } else if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']').ok_or_else(|| format!("{:?} is not a section", names::short(line)))?;
            if !known.contains(&name) && !name.starts_with("X-") {
                let there: Vec<String> = known.iter().map(|name| format!("[{name}]")).collect();
                let near = suggest::nearest(name, known.iter().copied());
                let hint = near
                    .map_or_else(|| format!("it has {}", there.join(", ")), |near| format!("did you mean [{near}]?"));
                return Err(format!(
                    "a .{kind} has no section [{}], and systemd would ignore it; {hint}",
                    names::short(name)
                ));
            }
            section = name;
        } else {
            let Some((key, value)) = content.split_once('=') else {
                return Err(format!("the line {:?} has no \"=\", and systemd would ignore it", names::short(line)));
            };
            if section.is_empty() {
                return Err(format!(
                    "{:?} is above the first section, where systemd would ignore it",
                    names::short(line)
                ));
            }
            settings.push(Setting { section, key: key.trim(), value: value.trim().to_owned() });
        }
        continues = more;
    }
    Ok(settings)
}

fn service_setting(Setting { key, value, .. }: &Setting<'_>) -> Result<(), String> {
    let word = |valid: &[&str]| match valid.contains(&value.as_str()) || value.is_empty() {
        true => Ok(()),
        false => Err(format!("{key}={} is unknown to systemd{}", names::short(value), suggest::hint(value, valid))),
    };
    match *key {
        "Type" => word(&TYPES),
        "Restart" => word(&RESTARTS),
        "ExecStart" | "ExecStartPre" | "ExecStartPost" | "ExecCondition" | "ExecReload" | "ExecStop"
        | "ExecStopPost" => command(key, value),
        _ => Ok(()),
    }
}

/// Checks that the program is an absolute path, or a name that systemd searches for. An empty value
/// resets earlier ones.
fn command(key: &str, value: &str) -> Result<(), String> {
    let program = value.trim_start_matches(['-', '@', ':', '+', '!', '|']).trim_start_matches(['"', '\'']);
    let program = program.split([' ', '\t', '"', '\'']).next().unwrap_or_default();
    // The value of a specifier is known only on the node.
    if value.is_empty() || program.starts_with(['/', '%']) || (!program.is_empty() && !program.contains('/')) {
        return Ok(());
    }
    Err(format!(
        "{key}={}: its program must be an absolute path such as /usr/bin/true, or a name without a slash",
        names::short(value)
    ))
}

/// Rejects what `service_verify` rejects.
fn service(settings: &[Setting<'_>]) -> Result<(), String> {
    let last = |key: &str| {
        let mut of_key = settings.iter().filter(|setting| setting.section == "Service" && setting.key == key);
        of_key.next_back().map(|setting| setting.value.as_str()).filter(|value| !value.is_empty())
    };
    let has = |key: &str| last(key).is_some();
    let kind = last("Type").unwrap_or(if has("ExecStart") { "simple" } else { "oneshot" });
    let does = settings.iter().any(|setting| setting.key == "SuccessAction" && setting.value != "none");
    let remains = last("RemainAfterExit").is_some_and(|value| ["yes", "true", "1", "on", "y", "t"].contains(&value));
    if !has("ExecStart") && !does && (kind != "oneshot" || !has("ExecStop") || !remains) {
        return Err("a .service needs ExecStart=, or Type=oneshot with RemainAfterExit=yes and ExecStop=".to_owned());
    }
    if kind == "oneshot" && last("Restart").is_some_and(|restart| ["always", "on-success"].contains(&restart)) {
        return Err("systemd rejects Restart=always and Restart=on-success with Type=oneshot".to_owned());
    }
    if kind == "dbus" && !has("BusName") {
        return Err("Type=dbus needs BusName=".to_owned());
    }
    let starts = settings.iter().filter(|setting| setting.key == "ExecStart");
    // An empty value resets the list.
    let commands = starts.fold(0, |number, setting| if setting.value.is_empty() { 0 } else { number + 1 });
    match commands > 1 && kind != "oneshot" {
        true => Err(format!("it has {commands} ExecStart=, which only Type=oneshot may have")),
        false => Ok(()),
    }
}

/// Checks the required settings of units of other types.
fn needed(settings: &[Setting<'_>], kind: &str) -> Result<(), String> {
    let section = SECTIONS.iter().find(|(of, _)| *of == kind).map_or("", |(_, section)| *section);
    let Some((_, prefix)) = NEEDED.iter().find(|(of, _)| *of == section) else { return Ok(()) };
    match settings.iter().any(|setting| setting.section == section && setting.key.starts_with(prefix)) {
        true => Ok(()),
        false => Err(format!("a .{kind} needs {prefix}…= in [{section}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(name: &str, text: &str) -> String {
        check(name, text, !name.contains('/')).err().unwrap_or_default()
    }

    #[test]
    fn good_units_pass() {
        for (name, text) in [
            (
                "a.service",
                "# why\n[Unit]\nDescription=a\n[Service]\nExecStart=-/usr/bin/a \\\n  # not this\n  --b c\n[X-Site]\na=b\n",
            ),
            ("a.service", "[Service]\nType=oneshot\nExecStart=true\nExecStart=+/usr/bin/true\nRemainAfterExit=yes\n"),
            ("a.service", "[Service]\nRemainAfterExit=yes\nExecStop=@/usr/bin/a b\n"),
            ("a@.service", "[Service]\nExecStart=\"/opt/my tools/a\" %i\nExecStop=%h/bin/stop\n"),
            ("a.service.d/10-b.conf", "[Service]\nExecStart=\nExecStart=/usr/bin/b\n"),
            ("a.service.d/10-b.conf", "[Unit]\nAfter=b.service\n"),
            ("a.timer", "[Timer]\nOnBootSec=1h\n"),
            ("a.target", "[Unit]\nDescription=a\n"),
        ] {
            assert_eq!(why(name, text), "", "{text}");
        }
    }

    #[test]
    fn text_that_systemd_rejects_or_ignores_is_rejected() {
        for (name, text, part) in [
            ("a.service", "[Servce]\nExecStart=/a\n", "did you mean [Service]?"),
            ("a.service", "[Timer]\nOnBootSec=1\n", "it has [Unit], [Install], [Service]"),
            ("a.service", "[Unit]\nDescription=a\n", "needs ExecStart="),
            ("a.service", "[Service]\nType=notfy\nExecStart=/a\n", "did you mean \"notify\"?"),
            ("a.service", "[Service]\nRestart=on-fail\nExecStart=/a\n", "did you mean \"on-failure\"?"),
            ("a.service", "[Service]\nExecStart=bin/a\n", "must be an absolute path"),
            ("a.service", "[Service]\nExecStart=-@./a a\n", "must be an absolute path"),
            ("a.service", "[Service]\nExecStart=/a\nExecStart=/b\n", "it has 2 ExecStart="),
            ("a.service", "[Service]\nType=oneshot\nRestart=always\nExecStart=/a\n", "systemd rejects Restart="),
            ("a.service", "ExecStart=/a\n[Service]\n", "above the first section"),
            ("a.service", "[Service]\nExecStart /a\n", "has no \"=\""),
            ("a.service.d/b.conf", "[Service]\nExecStart=./a\n", "must be an absolute path"),
            ("a.socket", "[Socket]\nAccept=no\n", "needs Listen…="),
        ] {
            assert!(why(name, text).contains(part), "{text}: {}", why(name, text));
        }
    }
}
