//! Mutates bytes at random, but so that inputs pass a parser's first checks: samples are real,
//! edits are few, numbers stay numbers, and parts of samples are mixed.

/// SplitMix64: random enough to choose edits, and the same on every machine.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).expect("64 bits")).expect("below end")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// A range of at most `most` bytes within `length`.
    fn range(&mut self, length: usize, most: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let end = length.min(start + self.below(most + 1));
        start..end
    }
}

/// Numbers that often break arithmetic.
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "7",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999",
];

/// The longest input that is made.
const MAX_LENGTH: usize = 1 << 20;

/// Returns a sample with one to eight edits; `words` are tokens of the format.
pub(super) fn mutate(random: &mut Random, samples: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = samples[random.below(samples.len())].clone();
    for _ in 0..1 << random.below(4) {
        edit(random, &mut bytes, samples, words);
    }
    bytes.truncate(MAX_LENGTH);
    bytes
}

fn edit(random: &mut Random, bytes: &mut Vec<u8>, samples: &[Vec<u8>], words: &[&[u8]]) {
    let length = bytes.len();
    match random.below(12) {
        0 if length > 0 => bytes[random.below(length)] ^= 1 << random.below(8),
        1 if length > 0 => bytes[random.below(length)] = random.byte(),
        2 => bytes.truncate(random.below(length + 1)),
        3 => drop(bytes.drain(random.range(length, 64))),
        4 => drop(bytes.drain(random.range(length, 4096))),
        5 => {
            let part = bytes[random.range(length, 512)].to_vec();
            insert(random, bytes, &part);
        }
        6 => {
            let other = &samples[random.below(samples.len())];
            let part = other[random.range(other.len(), 1024)].to_vec();
            insert(random, bytes, &part);
        }
        7 | 8 if !words.is_empty() => {
            let word = words[random.below(words.len())];
            insert(random, bytes, word);
        }
        9 => number(random, bytes),
        10 => {
            let extreme = [0, 0x20, 0x7f, 0x80, 0xff, b'\n'][random.below(6)];
            let range = random.range(length, 16);
            bytes[range].fill(extreme);
        }
        _ => {
            let count = random.below(16);
            let part: Vec<u8> = (0..count).map(|_| random.byte()).collect();
            insert(random, bytes, &part);
        }
    }
}

fn insert(random: &mut Random, bytes: &mut Vec<u8>, part: &[u8]) {
    let at = random.below(bytes.len() + 1);
    bytes.splice(at..at, part.iter().copied());
}

/// Replaces a number by another one, or inserts one.
fn number(random: &mut Random, bytes: &mut Vec<u8>) {
    let new = NUMBERS[random.below(NUMBERS.len())].bytes();
    let from = random.below(bytes.len() + 1);
    let digit = |byte: &u8| byte.is_ascii_digit();
    let start = bytes[from..].iter().position(digit).map_or(from, |at| from + at);
    let end = bytes[start..].iter().position(|byte| !digit(byte)).map_or(bytes.len(), |at| start + at);
    bytes.splice(start..end, new);
}
