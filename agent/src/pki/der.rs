//! A reader of DER (X.690): values one after another, with checked lengths.

/// Tags (X.680), constructed ones with their bit.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OID: u8 = 0x06;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]`, constructed.
pub(super) const CONTEXT_0: u8 = 0xa0;

/// The remaining values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// A reader of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether no value is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next value.
    pub(super) fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next value: its tag, its content, and all of its bytes.
    pub(super) fn any(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (tag, first) = (*self.0.first()?, *self.0.get(1)?);
        let (length, start) = match first {
            0..=0x7f => (usize::from(first), 2),
            // No certificate has values of 16 MiB, so three length bytes are enough.
            0x81..=0x83 => {
                let count = usize::from(first & 0x7f);
                let bytes = self.0.get(2..2 + count)?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), 2 + count)
            }
            _ => return None,
        };
        let content = self.0.get(start..start.checked_add(length)?)?;
        let (all, rest) = self.0.split_at(start + length);
        self.0 = rest;
        Some((tag, content, all))
    }

    /// The content of the next value, which must have `tag`.
    pub(super) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content, _) = self.any()?;
        (found == tag).then_some(content)
    }

    /// A reader of the next value's content.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.value(tag).map(Self)
    }
}
