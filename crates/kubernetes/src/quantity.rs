//! Amounts of resources as Kubernetes spells them: `100Mi`, `0.5`, `250m`, `1e3`.

/// An amount in billionths, the smallest fraction that Kubernetes stores; smaller ones are rounded
/// up. Amounts that do not fit saturate.
pub type Quantity = i128;

/// Suffixes of `k8s.io/apimachinery/pkg/api/resource`, each with its powers of ten and of two.
const SUFFIXES: [(&str, i32, u32); 16] = [
    ("", 0, 0),
    ("n", -9, 0),
    ("u", -6, 0),
    ("m", -3, 0),
    ("k", 3, 0),
    ("M", 6, 0),
    ("G", 9, 0),
    ("T", 12, 0),
    ("P", 15, 0),
    ("E", 18, 0),
    ("Ki", 0, 10),
    ("Mi", 0, 20),
    ("Gi", 0, 30),
    ("Ti", 0, 40),
    ("Pi", 0, 50),
    ("Ei", 0, 60),
];

/// Parses a quantity with the grammar of `resource.ParseQuantity`: a signed decimal number, then a
/// suffix or a decimal exponent.
pub fn parse_quantity(text: &str) -> Option<Quantity> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    let (tens, twos) = match SUFFIXES.iter().find(|known| known.0 == suffix) {
        Some((_, tens, twos)) => (*tens, *twos),
        None => (exponent(suffix)?, 0),
    };
    let fraction = fraction.trim_end_matches('0');
    let digits = whole.chars().chain(fraction.chars()).filter_map(|digit| digit.to_digit(10));
    let digits = digits.fold(0_i128, |sum, digit| sum.saturating_mul(10).saturating_add(digit.into()));
    let tens = 9 + tens - i32::try_from(fraction.len()).unwrap_or(i32::MAX / 2);
    let power = 10_i128.checked_pow(tens.unsigned_abs()).unwrap_or(i128::MAX);
    let binary = digits.saturating_mul(1 << twos);
    let amount = match tens < 0 {
        true => binary / power + i128::from(binary % power != 0),
        false => binary.saturating_mul(power),
    };
    Some(if text.starts_with('-') { -amount } else { amount })
}

/// Parses a decimal exponent, as in `1e3`.
fn exponent(suffix: &str) -> Option<i32> {
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let plain = (1..=3).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
    exponent.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_parsed_like_kubernetes_does() {
        for good in ["1", "0.5", "100Mi", "250m", "1e3", "1E-3", "2E", "+5k", ".5", "5."] {
            assert!(parse_quantity(good).is_some_and(|amount| amount > 0), "{good}");
        }
        assert_eq!(parse_quantity("0Mi"), Some(0));
        for bad in ["", "Mi", "1 Gi", "1MB", "1gb", "1K", "1.2.3", ".", "1e", "0x1", "1mi", "10%"] {
            assert_eq!(parse_quantity(bad), None, "{bad}");
        }
    }

    #[test]
    fn different_spellings_of_an_amount_are_equal() {
        const ONE: Quantity = 1_000_000_000;
        for one in ["1", "1.0", "1000m", "1e0", "1E+0", "+1.", "0.001k", "1000000000n", "10e-1"] {
            assert_eq!(parse_quantity(one), Some(ONE), "{one}");
        }
        assert_eq!(parse_quantity("1.5Gi"), Some(1536 * 1024 * 1024 * ONE));
        assert_eq!(parse_quantity("-1Ki"), Some(-1024 * ONE));
        // Rounded up, as Kubernetes does.
        assert_eq!(parse_quantity("0.1n"), Some(1));
        assert_eq!(parse_quantity("1e-999"), Some(1));
        assert_eq!(parse_quantity("9e999"), Some(Quantity::MAX));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in ".{0,40}") {
            parse_quantity(&text);
        }
    }
}
