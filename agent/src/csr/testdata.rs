//! The key d = 1 on P-256, whose public key is the curve's generator: known answers are easy to
//! make for it with other tools.

/// SubjectPublicKeyInfo of the generator (SEC 2, 2.4.2), uncompressed.
pub(crate) fn spki_of_one() -> Vec<u8> {
    let hex = "3059301306072a8648ce3d020106082a8648ce3d030107034200\
               046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
               4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let digits: Vec<u8> = hex.bytes().filter(|byte| byte.is_ascii_hexdigit()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits");
    digits.chunks(2).map(byte).collect()
}
