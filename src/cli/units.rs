//! Formats numbers for people.

/// `bytes` as `12.3 MB` (decimal units, as disks and downloads are measured).
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes;
    let mut rest = 0;
    let mut unit = "B";
    for next in UNITS {
        if scaled < 1000 {
            break;
        }
        rest = scaled % 1000;
        scaled /= 1000;
        unit = next;
    }
    format!("{scaled}.{} {unit}", rest / 100)
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_readable() {
        for (bytes, text) in [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (143_250_000, "143.2 MB")] {
            assert_eq!(super::bytes(bytes), text);
        }
    }
}
