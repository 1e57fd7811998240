//! `kiln schema`.

use std::io::Write;

/// Print the JSON Schema of a profile, for editors
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  kiln schema > profiles/profile.schema.json\n  # then, at the top of a profile:\n  # yaml-language-server: $schema=profile.schema.json"
)]
pub(super) struct SchemaArgs {
    /// Kind of file that the schema describes
    #[arg(value_enum, default_value_t = Kind::Profile)]
    kind: Kind,
}

/// A kind of file that users write.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// profiles/*.yaml
    Profile,
    /// profiles/releases/*.yaml
    Release,
    /// clusters/*.yaml
    Cluster,
}

pub(super) fn run(args: &SchemaArgs) -> anyhow::Result<()> {
    let schema = match args.kind {
        Kind::Profile => kiln_profile::schema(),
        Kind::Release => kiln_profile::release_schema(),
        Kind::Cluster => kiln_profile::cluster_schema(),
    };
    writeln!(std::io::stdout(), "{schema:#}")?;
    Ok(())
}
