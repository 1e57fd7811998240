//! Pins of a cluster's certificate authority, in kubeadm's format: `sha256:` and the hash of its
//! SubjectPublicKeyInfo.

use std::fmt;

const ALGORITHM: &str = "sha256";

/// Why a string is not a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not \"sha256:\" with 64 hexadecimal digits, as \"kubeadm token create --print-join-command\" prints it"
)]
pub struct PinError(String);

/// A pin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin(pub [u8; 32]);

impl Pin {
    /// Reads `sha256:` and 64 digits, in upper or lower case.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let read = || {
            let (algorithm, digits) = text.split_once(':')?;
            let digits = digits.as_bytes();
            if !algorithm.eq_ignore_ascii_case(ALGORITHM) || digits.len() != 64 {
                return None;
            }
            let mut hash = [0; 32];
            for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
                let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                *byte = digit(0)? << 4 | digit(1)?;
            }
            Some(Self(hash))
        };
        read().ok_or_else(|| PinError(crate::names::short(text)))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins() {
        let text = format!("sha256:{}", "0aF".repeat(21) + "9");
        let pin = Pin::parse(&text).expect("a pin");
        assert_eq!(pin.to_string(), text.to_ascii_lowercase());
        assert_eq!(Pin::parse(&text.replace("sha", "SHA")), Ok(pin));
        for bad in [
            "",
            "sha256:",
            "sha1:00",
            &text[1..],
            &format!("{text}0"),
            &text.replace('9', "g"),
            &text.replace("F9", "é"),
        ] {
            assert!(Pin::parse(bad).is_err(), "{bad}");
        }
    }
}
