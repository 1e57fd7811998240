//! Reads Docker's `config.json` with the credentials of registries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// User names and passwords by registry; they are never printed.
#[derive(Default)]
pub struct Credentials {
    /// `Authorization` headers by registry.
    basic: BTreeMap<String, String>,
    /// Credential helpers by registry.
    helpers: BTreeMap<String, String>,
    /// The credential helper for all other registries.
    store: Option<String>,
}

/// Why a `config.json` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// It is not JSON of the expected form.
    #[error("{line}:{column}: it is not a config.json of Docker")]
    Malformed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// `auth` is not the base64 of a user and a password.
    #[error("auths.{registry}.auth is not user:password in base64; log in again")]
    Auth {
        /// The registry.
        registry: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct File {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Auth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Credentials {
    /// Reads the text of a `config.json`. The error does not quote it, because it may contain
    /// secrets.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let file: File = serde_json::from_str(text)
            .map_err(|error| CredentialsError::Malformed { line: error.line(), column: error.column() })?;
        let mut basic = BTreeMap::new();
        for (registry, auth) in file.auths {
            let encoded = match (auth.auth.filter(|auth| !auth.is_empty()), auth.username, auth.password) {
                (Some(encoded), ..) => {
                    let decoded = STANDARD.decode(encoded.trim()).ok();
                    if !decoded.is_some_and(|decoded| decoded.contains(&b':')) {
                        return Err(CredentialsError::Auth { registry });
                    }
                    encoded.trim().to_owned()
                }
                (None, Some(user), Some(password)) => STANDARD.encode(format!("{user}:{password}")),
                // Credential helpers leave the registry's name without credentials.
                _ => continue,
            };
            basic.insert(host(&registry), format!("Basic {encoded}"));
        }
        let helpers = file.cred_helpers.into_iter().map(|(registry, helper)| (host(&registry), helper)).collect();
        Ok(Self { basic, helpers, store: file.creds_store })
    }

    /// The `Authorization` header for `registry`.
    pub(super) fn basic(&self, registry: &str) -> Option<String> {
        self.basic.get(registry).cloned()
    }

    /// The credential helper for `registry`.
    pub(super) fn helper(&self, registry: &str) -> Option<&str> {
        self.helpers.get(registry).or(self.store.as_ref()).map(String::as_str)
    }
}

/// The name of a registry in references: keys may be URLs, and Docker's own registry uses its
/// original address.
fn host(key: &str) -> String {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    match key.split('/').next().unwrap_or(key) {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.basic.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_by_registry_and_never_printed() {
        let text = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"},
            "registry.example.org:5000": {"username": "me", "password": "secret"},
            "left.by.helper": {}
        }, "credHelpers": {"gcr.io": "gcloud"}, "credsStore": "desktop", "HttpHeaders": {}}"#;
        let credentials = Credentials::parse(text).expect("credentials");
        let expected = Some("Basic bWU6c2VjcmV0".to_owned());
        assert_eq!(credentials.basic("docker.io"), expected);
        assert_eq!(credentials.basic("registry.example.org:5000"), expected);
        assert_eq!(credentials.basic("left.by.helper"), None);
        assert_eq!(credentials.helper("gcr.io"), Some("gcloud"));
        assert_eq!(credentials.helper("left.by.helper"), Some("desktop"));
        assert_eq!(format!("{credentials:?}"), "{\"docker.io\", \"registry.example.org:5000\"}");
    }

    #[test]
    fn malformed_configs_are_rejected_without_quoting_them() {
        for (text, error) in [
            ("{\"auths\": \"secret\"}", "1:18: it is not a config.json of Docker"),
            (
                "{\"auths\": {\"a.b\": {\"auth\": \"c2VjcmV0\"}}}",
                "auths.a.b.auth is not user:password in base64; log in again",
            ),
        ] {
            assert_eq!(Credentials::parse(text).expect_err("refused").to_string(), error);
        }
    }
}
