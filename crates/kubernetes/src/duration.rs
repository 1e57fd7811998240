//! Durations in Go's notation: `1h30m`, `250ms`.

/// Nanoseconds, like Go's `time.Duration`.
pub type Duration = i64;

/// Units of Go's `time.ParseDuration`, in nanoseconds.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Parses a duration like Go's `time.ParseDuration`: signed decimal numbers, each with a unit,
/// without spaces.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        // As in Go, "." and "1.2.3" are not numbers, and "1." and ".5" are.
        let number: f64 = number.parse().ok()?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += number * nanoseconds;
        rest = after;
    }
    // 2^63 ns are 292 years. Fractions of a nanosecond are truncated.
    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    (total < 9.2e18).then_some((sign * total) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_parsed_like_go_does() {
        for (text, seconds) in
            [("1m", 60.0), ("1h30m", 5400.0), ("250ms", 0.25), ("-1.5s", -1.5), ("0", 0.0), (".5s", 0.5)]
        {
            assert_eq!(parse_duration(text), Some((seconds * 1e9) as i64), "{text}");
        }
        for bad in ["", "1", "s", "1 s", "1d", "1.2.3s", "+-1s", "1s2", "--1s", ".s", "300000000h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in ".{0,40}") {
            parse_duration(&text);
        }
    }
}
