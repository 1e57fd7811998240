//! Authorizes requests to a registry: with `Basic`, or with a token from the server that its
//! challenge names (distribution's "Token Authentication").

use super::Credentials;
use crate::http::{Client, Headers, is_local_url};
use kiln_oci::Reference;
use kiln_url::Url;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The most bytes of a token server's answer.
const MAX_ANSWER: u64 = 1 << 20;

/// The answer of a token server; older servers use `token`, OAuth 2.0 uses `access_token`.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
}

/// Returns the `Authorization` for one of `challenges`, to pull from the repository of `reference`,
/// or the reason why there is none.
pub(super) fn authorize(
    http: &Client,
    credentials: &Credentials,
    reference: &Reference,
    challenges: &[String],
) -> Result<String, String> {
    let registry = &reference.registry;
    let basic = credentials.basic(registry);
    let mut parsed = challenges.iter().filter_map(|challenge| Challenge::parse(challenge));
    match parsed.find(|challenge| ["bearer", "basic"].contains(&challenge.scheme.as_str())) {
        Some(challenge) if challenge.scheme == "bearer" => token(http, reference, &challenge, basic.as_deref()),
        Some(_) => basic.ok_or_else(|| {
            let helper = credentials.helper(registry);
            match helper {
                Some(helper) => format!(
                    "{registry} requires a password, which config.json delegates to the helper {helper:?}, but kiln runs no programs: \
                     log in with a DOCKER_CONFIG directory whose config.json has no helper"
                ),
                None => format!(
                    "{registry} requires a user name and password: log in (docker login {registry}), or name in DOCKER_CONFIG \
                     the directory of a config.json that has them"
                ),
            }
        }),
        None => Err(format!("{registry} requires an authorization that kiln does not support")),
    }
}

fn token(http: &Client, reference: &Reference, challenge: &Challenge, basic: Option<&str>) -> Result<String, String> {
    let registry = &reference.registry;
    let realm =
        challenge.parameters.get("realm").ok_or_else(|| format!("{registry} does not name a realm for tokens"))?;
    // A password is sent there. The realm may be another host, as that of Docker Hub is, because
    // the registry itself names it; but it must be encrypted, or stay on this host.
    if !(realm.starts_with("https://") || reference.is_local() && is_local_url(realm)) {
        let shown = short(&Url::from(realm.as_str()).to_string());
        return Err(format!("{registry} refers to {shown:?} for tokens, which is not https"));
    }
    let mut url = realm.clone();
    let mut add = |name: &str, value: &str| {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        url.push_str(&escaped(value));
    };
    if let Some(service) = challenge.parameters.get("service") {
        add("service", service);
    }
    // The scope that is needed, whatever the challenge names.
    add("scope", &format!("repository:{}:pull", reference.repository));
    let headers = Headers { accept: None, authorization: basic.map(ToOwned::to_owned) };
    let bytes = http
        .get_with(&url.into(), 0, &headers)
        .and_then(|response| response.bytes(MAX_ANSWER))
        .map_err(|error| match basic {
            // Without the error's own advice, which is about mirrors.
            Some(_) => format!("getting a token for {registry} with the credentials of config.json: {}: {}; check that they are valid, or log in again", error.url, error.kind),
            None => format!("getting a token for {registry} without credentials: {error}; log in, or name in DOCKER_CONFIG the directory of a config.json"),
        })?;
    let answer: Answer = serde_json::from_slice(&bytes)
        .map_err(|_| format!("the token server of {registry} answers without a token"))?;
    let token = answer.token.or(answer.access_token).unwrap_or_default();
    // RFC 6750, 2.1, limited to what a header may contain.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("the token server of {registry} answers without a token"));
    }
    Ok(format!("Bearer {token}"))
}

/// One challenge of `WWW-Authenticate` (RFC 9110, 11.6.1).
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    /// In lower case.
    scheme: String,
    parameters: BTreeMap<String, String>,
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (scheme, mut rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut parameters = BTreeMap::new();
        while let Some((name, value)) = rest.split_once('=') {
            let value = value.trim_start();
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => unquoted(quoted)?,
                None => {
                    let end = value.find(',').unwrap_or(value.len());
                    (value[..end].trim().to_owned(), &value[end..])
                }
            };
            let name = name.trim_matches(|char: char| char == ',' || char.is_whitespace()).to_ascii_lowercase();
            parameters.insert(name, value);
            rest = after;
        }
        Some(Self { scheme: scheme.to_ascii_lowercase(), parameters })
    }
}

/// A quoted string without its quotes, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

/// Percent-encodes everything except unreserved characters (RFC 3986, 2.1).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => escaped.push(char::from(byte)),
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_are_parsed() {
        let challenge = Challenge::parse(
            "Bearer realm=\"https://auth.example.org/token?a=b\",service=\"a \\\"b\\\", c\" , scope=repository:x:pull",
        );
        let challenge = challenge.expect("a challenge");
        assert_eq!(challenge.scheme, "bearer");
        assert_eq!(challenge.parameters["realm"], "https://auth.example.org/token?a=b");
        assert_eq!(challenge.parameters["service"], "a \"b\", c");
        assert_eq!(challenge.parameters["scope"], "repository:x:pull");
        assert_eq!(Challenge::parse("Basic").expect("a challenge").scheme, "basic");
        assert_eq!(Challenge::parse("Bearer realm=\"open"), None);
        assert_eq!(escaped("a b/ü~"), "a%20b%2F%C3%BC~");
    }

    proptest! {
        #[test]
        fn arbitrary_challenges_never_panic(text in "[Bearlm=\",\\\\ \\PC]{0,60}") {
            let _ = Challenge::parse(&text);
        }
    }
}
