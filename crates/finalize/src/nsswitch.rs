//! `/etc/nsswitch.conf`: libc-bin's default and the modules of the libnss packages in the tree, at
//! the positions of their postinst scripts (dh_installnss).

use super::Finalizer;
use super::input::{self, InputError, OutputError};
use kiln_tree::{ContentReader, Entry, FileTree};

pub(crate) const FINALIZER: Finalizer = Finalizer { name: "nsswitch", reads: &[&[TEMPLATE]] };

const TEMPLATE: &str = "usr/share/libc-bin/nsswitch.conf";
const PATH: &str = "etc/nsswitch.conf";

/// Why the file cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NsswitchError {
    /// The default cannot be read.
    #[error("{0}; the package libc-bin provides it")]
    Input(#[from] InputError),
    /// It cannot be put into the tree.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The position of a service in its line.
#[derive(Debug, Clone, Copy)]
enum Position {
    After(&'static str),
    Before(&'static str),
    Last,
}

/// The module (`libnss_NAME.so.2`), the services to insert, the databases, and the position.
const SERVICES: &[(&str, &str, &[&str], Position)] = &[
    ("myhostname", "myhostname", &["hosts"], Position::After("files")),
    ("resolve", "resolve [!UNAVAIL=return]", &["hosts"], Position::Before("dns")),
    ("systemd", "systemd", &["passwd", "group", "shadow", "gshadow"], Position::Last),
];

/// Writes `/etc/nsswitch.conf` unless it exists.
///
/// # Errors
/// [`NsswitchError`].
pub fn finalize(tree: &mut FileTree, reader: &dyn ContentReader) -> Result<(), NsswitchError> {
    if tree.contains(PATH) {
        return Ok(());
    }
    let mut text = input::text(tree, reader, TEMPLATE)?;
    for (module, service, databases, position) in SERVICES {
        if has_module(tree, module) && !databases.iter().any(|database| has_service(&text, database, module)) {
            text = text.lines().map(|line| insert(line, service, databases, *position) + "\n").collect();
        }
    }
    input::put(tree, PATH, Entry::file(text, 0o644, FINALIZER.origin()))?;
    Ok(())
}

fn has_module(tree: &FileTree, module: &str) -> bool {
    let file = format!("libnss_{module}.so.2");
    tree.children("usr/lib").any(|(dir, _)| tree.contains(&format!("{dir}/{file}")))
        || tree.contains(&format!("usr/lib/{file}"))
}

fn has_service(text: &str, database: &str, service: &str) -> bool {
    let services = text.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| *name == database);
    services.flat_map(|(_, services)| services.split_whitespace()).any(|found| found == service)
}

fn insert(line: &str, service: &str, databases: &[&str], position: Position) -> String {
    let Some((_, services)) = line.split_once(':').filter(|(name, _)| databases.contains(name)) else {
        return line.to_owned();
    };
    let word = |wanted: &str| {
        let start = services.match_indices(wanted).map(|(at, _)| at).find(|&at| {
            let after = services[at + wanted.len()..].chars().next();
            services[..at].ends_with(char::is_whitespace) && after.is_none_or(char::is_whitespace)
        })?;
        Some(line.len() - services.len() + start)
    };
    match position {
        Position::Last => format!("{line} {service}"),
        Position::Before(other) => {
            word(other).map_or(line.to_owned(), |at| format!("{}{service} {}", &line[..at], &line[at..]))
        }
        Position::After(other) => word(other).map_or(line.to_owned(), |at| {
            let mut end = at + other.len();
            // An action in brackets belongs to the service before it.
            let rest = &line[end..];
            if let (true, Some(close)) = (rest.trim_start().starts_with('['), rest.find(']')) {
                end += close + 1;
            }
            format!("{} {service}{}", &line[..end], &line[end..])
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_go_where_their_packages_put_them() {
        assert_eq!(insert("hosts:   files dns", "x", &["hosts"], Position::After("files")), "hosts:   files x dns");
        assert_eq!(
            insert("hosts: files [A=b] dns", "x", &["hosts"], Position::After("files")),
            "hosts: files [A=b] x dns"
        );
        assert_eq!(insert("hosts: files dns", "x", &["hosts"], Position::Before("dns")), "hosts: files x dns");
        assert_eq!(insert("hosts: mdns", "x", &["hosts"], Position::Before("dns")), "hosts: mdns");
        assert_eq!(insert("group: files", "x", &["hosts"], Position::Last), "group: files");
        assert!(has_service("hosts: files\n", "hosts", "files") && !has_service("hosts: files\n", "hosts", "dns"));
    }
}
