//! The request's name, made like kubelet's from the requested properties: another request with the
//! same key has the same name.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA512_256};

/// `node-csr-` and the unpadded base64url of SHA-512/256 over public key, common name, organization
/// and usages in the order of the request, each in base64url and followed by a bar.
pub fn request_name(spki: &[u8], common_name: &str, organization: &str, usages: &[&str]) -> String {
    let mut context = Context::new(&SHA512_256);
    let fields = [spki, common_name.as_bytes(), organization.as_bytes()];
    for field in fields.into_iter().chain(usages.iter().map(|usage| usage.as_bytes())) {
        context.update(URL_SAFE_NO_PAD.encode(field).as_bytes());
        context.update(b"|");
    }
    format!("node-csr-{}", URL_SAFE_NO_PAD.encode(context.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr::testdata::spki_of_one;

    #[test]
    fn known_answers() {
        let name = |usages: &[&str]| request_name(&spki_of_one(), "system:node:node-a", "system:nodes", usages);
        assert_eq!(name(&["digital signature", "client auth"]), "node-csr-OzXczA2u2HY9VteWI1cg8nYvP4zVfrWnQXc9kYLyYNc");
        assert_eq!(
            name(&["digital signature", "key encipherment", "client auth"]),
            "node-csr-6PoHiHbdbF6C9wsisF09OC0IB7-ZZm1A3Z25JdWnPYQ"
        );
    }
}
