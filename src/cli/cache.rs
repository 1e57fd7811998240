//! `kiln cache`.

use super::host::Host;
use super::units;
use anyhow::bail;
use kiln_cache::{Cache, TrimPolicy};
use std::io::Write;
use std::time::Duration;

/// Show or trim the cache
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln cache\n  kiln cache trim --max-size 5G\n  kiln cache trim --unused-days 30")]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Remove the least recently used files
    Trim {
        /// Maximum size of the cache: a number with K, M, G or T
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        max_size: Option<u64>,
        /// Remove files not used for this many days
        #[arg(long, value_name = "DAYS")]
        unused_days: Option<u32>,
        /// Remove everything
        #[arg(long, conflicts_with_all = ["max_size", "unused_days"])]
        all: bool,
    },
}

pub(super) fn run(host: &Host, args: &CacheArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match args.action {
        None => {
            let usage = host.cache()?.usage()?;
            if args.json {
                let kinds: serde_json::Map<String, serde_json::Value> = usage
                    .iter()
                    .map(|(kind, usage)| {
                        (kind.clone(), serde_json::json!({"files": usage.files, "bytes": usage.bytes}))
                    })
                    .collect();
                writeln!(out, "{}", serde_json::json!({"path": host.cache_root, "kinds": kinds}))?;
                return Ok(());
            }
            writeln!(out, "{}", host.cache_root.display())?;
            for (kind, usage) in &usage {
                writeln!(out, "{kind:<20} {:>7} files {:>12}", usage.files, units::bytes(usage.bytes))?;
            }
            writeln!(out, "{:<20} {:>26}", "total", units::bytes(usage.values().map(|usage| usage.bytes).sum()))?;
        }
        Some(Action::Trim { max_size, unused_days, all }) => {
            let policy = TrimPolicy {
                max_bytes: if all { Some(0) } else { max_size },
                unused_since: unused_days.and_then(|days| host.now.checked_sub(Duration::from_secs(86_400) * days)),
            };
            if policy.max_bytes.is_none() && policy.unused_since.is_none() {
                bail!("say what to remove: --max-size 5G, --unused-days 30 or --all");
            }
            let trimmed = Cache::trim(&host.cache_root, &policy)?;
            if args.json {
                writeln!(out, "{}", serde_json::json!({"removed": trimmed.removed.bytes, "kept": trimmed.kept.bytes}))?;
            } else {
                writeln!(
                    out,
                    "removed {}, kept {}",
                    units::bytes(trimmed.removed.bytes),
                    units::bytes(trimmed.kept.bytes)
                )?;
            }
        }
    }
    Ok(())
}

fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?} is not a size; write it as 500M or 5G");
    let (digits, factor) = match text.trim_end_matches(['B', 'b', 'i']).to_ascii_uppercase() {
        text if text.ends_with('K') => (text[..text.len() - 1].to_owned(), 1_000),
        text if text.ends_with('M') => (text[..text.len() - 1].to_owned(), 1_000_000),
        text if text.ends_with('G') => (text[..text.len() - 1].to_owned(), 1_000_000_000),
        text if text.ends_with('T') => (text[..text.len() - 1].to_owned(), 1_000_000_000_000),
        text => (text, 1),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(bad)
}
