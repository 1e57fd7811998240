//! The signature of cluster-info: a detached JWS (RFC 7515, appendix F) with HS256; its key is the
//! token's secret, its key id the token's id.

use crate::seed::Token;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

/// The JWS that Kubernetes' bootstrap signer makes for `content`: `header..mac`.
pub fn signature(content: &str, id: &str, secret: &str) -> String {
    let header = header(id);
    let mac = hmac::sign(&key(secret), &message(&header, content));
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(mac))
}

/// Whether `jws` is the signature of `content` by `token`; takes the same time wherever the
/// signature differs.
pub fn verify(content: &str, jws: &str, token: &Token) -> bool {
    let header = header(token.id());
    let mac = jws.strip_prefix(&header).and_then(|rest| URL_SAFE_NO_PAD.decode(rest.strip_prefix("..")?).ok());
    mac.is_some_and(|mac| hmac::verify(&key(token.secret()), &message(&header, content), &mac).is_ok())
}

/// Exactly these bytes: the signer's JSON has no blanks and has its keys in this order. An id needs
/// no escapes.
fn header(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"HS256\",\"kid\":\"{id}\"}}"))
}

fn key(secret: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())
}

fn message(header: &str, content: &str) -> Vec<u8> {
    format!("{header}.{}", URL_SAFE_NO_PAD.encode(content)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of Kubernetes, pkg/controller/bootstrap/jws_test.go.
    #[test]
    fn kubernetes_vector() {
        let content = "Hello from the other side. I must have called a thousand times.";
        let expected = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8";
        assert_eq!(signature(content, "joshua", "my voice is my passcode"), expected);
    }

    #[test]
    fn signatures_are_verified_with_the_token() {
        let token = |text: &str| Token::parse(text).expect("a token");
        let ours = token("abcdef.0123456789abcdef");
        let jws = signature("content", ours.id(), ours.secret());
        assert!(verify("content", &jws, &ours));
        assert!(!verify("Content", &jws, &ours), "another content");
        assert!(!verify("content", &jws, &token("abcdef.0123456789abcdeg")), "another secret");
        assert!(!verify("content", &jws, &token("abcdeg.0123456789abcdef")), "another id");
        assert!(!verify("content", "", &ours));
        // "none", which a verifier that believes the header would accept.
        let none = format!("{}..", URL_SAFE_NO_PAD.encode("{\"alg\":\"none\",\"kid\":\"abcdef\"}"));
        assert!(!verify("content", &none, &ours));
    }
}
