//! Amounts of resources as Kubernetes spells them: `100Mi`, `0.5`, `250m`, `1e3`.

/// How a quantity compares with zero; kiln needs no more of it.
pub type Quantity = std::cmp::Ordering;

/// Suffixes of `k8s.io/apimachinery/pkg/api/resource`.
const SUFFIXES: [&str; 16] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Reads a quantity by the grammar of `resource.ParseQuantity`: a signed decimal number and a suffix or a decimal exponent.
pub fn quantity(text: &str) -> Option<Quantity> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    if !number.contains(|c: char| c.is_ascii_digit()) || number.matches('.').count() > 1 {
        return None;
    }
    if !SUFFIXES.contains(&suffix) {
        let exponent = suffix.strip_prefix(['e', 'E'])?;
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) || digits.len() > 3 {
            return None;
        }
    }
    Some(match number.contains(|c: char| ('1'..='9').contains(&c)) {
        false => Quantity::Equal,
        true if text.starts_with('-') => Quantity::Less,
        true => Quantity::Greater,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_kubernetes_s() {
        for good in ["1", "0.5", "100Mi", "250m", "1e3", "1E-3", "2E", "+5k", ".5", "5."] {
            assert_eq!(quantity(good), Some(Quantity::Greater), "{good}");
        }
        assert_eq!(quantity("0Mi"), Some(Quantity::Equal));
        assert_eq!(quantity("-1Gi"), Some(Quantity::Less));
        for bad in ["", "Mi", "1 Gi", "1MB", "1gb", "1K", "1.2.3", ".", "1e", "0x1", "1mi", "10%"] {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,40}") {
            quantity(&text);
        }
    }
}
