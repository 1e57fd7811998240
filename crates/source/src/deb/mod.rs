//! Debian archives: the choice of archives, their signed indexes, and their packages.

pub mod apt_sources;
pub mod cleartext;
pub mod control;
pub mod dependency;
pub mod index;
pub mod keyring;
pub mod package;
pub mod packages;
pub mod release;
pub mod repository;
pub mod resolver;
pub mod signature;
pub mod transport;
pub mod unpack;
pub mod version;
/// A URL without user and password, for messages.
fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_contain_no_passwords() {
        assert_eq!(redact("https://u:p@host/a@b"), "https://host/a@b");
        assert_eq!(redact("https://host/a@b"), "https://host/a@b");
        assert_eq!(redact("nonsense"), "nonsense");
    }
}
