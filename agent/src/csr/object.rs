//! CertificateSigningRequest objects of `certificates.k8s.io/v1`: writing one, and reading its
//! state.

use super::ORGANIZATION;
use crate::api::printable;
use crate::pki::{Key, KeyError, pem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Their path in the API.
pub(super) const PATH: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// All three, because clusters before 1.27 approve nothing else. (Key encipherment has no meaning
/// for this type of key.)
pub const USAGES: [&str; 3] = ["digital signature", "key encipherment", "client auth"];

/// The common name of a node's certificate.
pub fn common_name(node: &str) -> String {
    format!("system:node:{node}")
}

/// The object to create.
pub(super) fn object(name: &str, node: &str, key: &Key) -> Result<Value, KeyError> {
    let request = key.request(ORGANIZATION, &common_name(node))?;
    Ok(json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": { "name": name },
        "spec": { "request": STANDARD.encode(request), "signerName": SIGNER, "usages": USAGES },
    }))
}

/// The state of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Not decided.
    Pending,
    /// Approved, without a certificate yet.
    Approved,
    /// The certificates, in PEM.
    Issued(String),
    /// Denied by a person or a policy, with the message.
    Denied(String),
    /// Failed at the signer, with the message.
    Failed(String),
}

/// Reads `status`.
pub(super) fn state(object: &Value) -> State {
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let find = |kind: &str| {
        let is_set =
            |condition: &&Value| condition["type"] == kind && condition["status"].as_str().unwrap_or("True") == "True";
        conditions.iter().find(is_set)
    };
    let words = |condition: &Value| {
        let text = |field: &str| printable(condition[field].as_str().unwrap_or_default());
        match (text("reason"), text("message")) {
            (reason, message) if message.is_empty() => reason,
            (reason, message) if reason.is_empty() => message,
            (reason, message) => format!("{reason}: {message}"),
        }
    };
    if let Some(condition) = find("Denied") {
        return State::Denied(words(condition));
    }
    if let Some(condition) = find("Failed") {
        return State::Failed(words(condition));
    }
    let certificate = object["status"]["certificate"].as_str().unwrap_or_default();
    let pem = STANDARD.decode(certificate).ok().and_then(|pem| String::from_utf8(pem).ok());
    match (find("Approved"), pem) {
        (None, _) => State::Pending,
        (Some(_), Some(pem)) if !pem.is_empty() => State::Issued(pem),
        (Some(_), _) => State::Approved,
    }
}

/// Whether an existing request with our name is ours: made with `key` for the same signer.
pub(super) fn is_ours(object: &Value, key: &Key) -> bool {
    let request = || {
        let pem = String::from_utf8(STANDARD.decode(object["spec"]["request"].as_str()?).ok()?).ok()?;
        let sections = pem::decode(pem::CERTIFICATE_REQUEST, &pem)?;
        crate::pki::request_spki(sections.first()?).map(<[u8]>::to_vec)
    };
    object["spec"]["signerName"] == SIGNER && request().is_some_and(|spki| spki == key.spki())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_its_key() {
        let key = Key::generate().expect("a key");
        let mut mine = object("x", "a", &key).expect("an object");
        assert!(is_ours(&mine, &key));
        assert!(!is_ours(&mine, &Key::generate().expect("a key")));
        mine["spec"]["signerName"] = "kubernetes.io/kubelet-serving".into();
        assert!(!is_ours(&mine, &key));
        assert!(!is_ours(&json!({}), &key));
    }

    #[test]
    fn states() {
        let object = |conditions: Value, certificate: &str| json!({"status": {"conditions": conditions, "certificate": STANDARD.encode(certificate)}});
        let approved = json!({"type": "Approved"});
        assert_eq!(state(&json!({"status": {}})), State::Pending);
        assert_eq!(state(&object(json!([]), "PEM")), State::Pending, "a certificate alone proves nothing");
        assert_eq!(state(&object(json!([approved]), "")), State::Approved);
        assert_eq!(state(&object(json!([approved]), "PEM")), State::Issued("PEM".into()));
        let denied = json!({"type": "Denied", "status": "True", "reason": "Policy", "message": "no\nwine"});
        assert_eq!(state(&object(json!([approved, denied]), "PEM")), State::Denied("Policy: no wine".into()));
        let failed = json!({"type": "Failed", "status": "True", "reason": "SignerValidationFailure"});
        assert_eq!(state(&object(json!([approved, failed]), "")), State::Failed("SignerValidationFailure".into()));
        let not = json!({"type": "Denied", "status": "False"});
        assert_eq!(state(&object(json!([not, approved]), "PEM")), State::Issued("PEM".into()));
    }
}
