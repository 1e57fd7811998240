//! `kiln seed`.

use super::file;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use kiln_agent::seed::{MAX_SIZE, Seed, Token};
use kiln_agent::yaml;
use kiln_format::{fat, iso9660};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// cloud-init's label of volumes with user data.
const LABEL: &str = "cidata";
/// The smallest size in bytes that every reader recognises as FAT32; the file is sparse.
const FAT_SIZE: u64 = 36 << 20;
/// Mode of files that contain a secret.
const PRIVATE: u32 = 0o600;
/// The characters of tokens.
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Check a node's seed, and deliver it: on a volume, to QEMU, by URL A seed contains what differs
/// between the nodes of one image; docs/agent.md explains its fields. All results are made from the
/// same, checked document. Files are readable by their owner only, because a seed contains a
/// secret.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  kiln seed --check node-1.yaml\n  kiln seed node-1.yaml --iso node-1.iso\n  \
                        kiln seed node-1.yaml --fresh-token secret.yaml --vfat node-1.img\n  \
                        kiln seed node-1.yaml --qemu node-1.credential\n  \
                        kiln seed node-1.yaml --url https://boot.example/seeds/node-1")]
pub(super) struct SeedArgs {
    /// The seed, in YAML or JSON
    #[arg(value_hint = clap::ValueHint::FilePath, required_unless_present = "check")]
    file: Option<PathBuf>,
    /// Only check FILE
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "file", exclusive = true)]
    check: Option<PathBuf>,
    /// Write a NoCloud volume in ISO 9660 format
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    iso: Option<PathBuf>,
    /// Write a NoCloud volume in FAT32 format
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    vfat: Option<PathBuf>,
    /// Write the seed to FILE, and print the arguments with which QEMU passes that file to the machine
    /// by fw_cfg; the token is on no command line
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    qemu: Option<PathBuf>,
    /// The same by SMBIOS
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    smbios: Option<PathBuf>,
    /// Print the kernel parameters with which a node fetches the seed from URL
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::Url)]
    url: Option<String>,
    /// Put a new bootstrap token into the seed, and write the Secret that adds the token to the
    /// cluster
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    fresh_token: Option<PathBuf>,
    /// Hours for which a new token is valid
    #[arg(long, value_name = "HOURS", default_value_t = 24, requires = "fresh_token", value_parser = clap::value_parser!(i64).range(1..=8760))]
    ttl: i64,
}

pub(super) fn run(args: &SeedArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if let Some(path) = &args.check {
        let (_, seed) = read(path)?;
        let name = seed.node_name.or(seed.hostname).unwrap_or_else(|| "a node named by its platform".into());
        writeln!(out, "{} is a valid seed for {name}", path.display())?;
        return Ok(());
    }
    let Some(path) = &args.file else { bail!("no seed was given") };
    let (mut bytes, seed) = read(path)?;
    let now = Timestamp::now();
    if let Some(secret) = &args.fresh_token {
        let token = fresh_token()?;
        bytes = with_token(&bytes, &token)?;
        let expires = now.checked_add(SignedDuration::from_hours(args.ttl)).context("the token's expiry")?;
        let manifest = format!("{:#}\n", manifest(&token, expires, seed.node_name.as_deref()));
        file::write(secret, PRIVATE, |file| file.write_all(manifest.as_bytes()))?;
    } else if seed.token.is_none() {
        bail!("{}: it has no token; --fresh-token FILE makes one", path.display());
    }
    let time = u32::try_from(now.as_second()).unwrap_or_default();
    let files: [(&str, &[u8]); 2] = [("meta-data", b"{}\n"), ("user-data", &bytes)];
    if let Some(target) = &args.iso {
        let image = iso9660::volume(LABEL, &files, time)?;
        file::write(target, PRIVATE, |file| file.write_all(&image))?;
    }
    if let Some(target) = &args.vfat {
        write_fat(target, &files, time)?;
    }
    if let Some(target) = &args.qemu {
        file::write(target, PRIVATE, |file| file.write_all(&bytes))?;
        writeln!(out, "-fw_cfg name=opt/io.systemd.credentials/kiln.seed,file={}", in_option(target)?)?;
    }
    if let Some(target) = &args.smbios {
        let credential = format!("io.systemd.credential.binary:kiln.seed={}", STANDARD.encode(&bytes));
        file::write(target, PRIVATE, |file| file.write_all(credential.as_bytes()))?;
        writeln!(out, "-smbios type=11,path={}", in_option(target)?)?;
    }
    if let Some(url) = &args.url {
        kiln_agent::url::Url::parse(url)?;
        let digest = kiln_tree::Digest::of(&bytes);
        writeln!(out, "kiln.seed={url} kiln.seed_sha256={digest}")?;
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<(Vec<u8>, Seed)> {
    let name = path.display();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("reading {name}"))?;
    file.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("reading {name}"))?;
    let seed = Seed::parse(&bytes).with_context(|| name.to_string())?;
    Ok((bytes, seed))
}

/// The path of `file` as a value among QEMU's options, where a doubled comma is a comma; absolute,
/// because QEMU may be started elsewhere.
fn in_option(file: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(file).with_context(|| format!("finding {}", file.display()))?;
    Ok(path.display().to_string().replace(',', ",,"))
}

/// Replaces the token; returns the seed as JSON, which is also YAML.
fn with_token(bytes: &[u8], token: &Token) -> anyhow::Result<Vec<u8>> {
    let mut document = yaml::parse(std::str::from_utf8(bytes)?, MAX_SIZE)?;
    document["token"] = token.reveal().into();
    Ok(format!("{document:#}\n").into_bytes())
}

fn fresh_token() -> anyhow::Result<Token> {
    let mut random = File::open("/dev/urandom").context("reading /dev/urandom")?;
    let mut text = String::new();
    while text.len() < 23 {
        let mut byte = [0];
        random.read_exact(&mut byte).context("reading /dev/urandom")?;
        // 252 is the largest multiple of 36 below 256, so that all characters are equally likely.
        if byte[0] < 252 {
            text.push(char::from(ALPHABET[usize::from(byte[0] % 36)]));
        }
        if text.len() == 6 {
            text.push('.');
        }
    }
    Ok(Token::parse(&text)?)
}

/// The Secret that `kubeadm token create` makes. JSON is also YAML, so kubectl accepts it.
fn manifest(token: &Token, expires: Timestamp, node: Option<&str>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": format!("bootstrap-token-{}", token.id()), "namespace": "kube-system" },
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
            "description": node.map_or("made by kiln seed".into(), |node| format!("made by kiln seed for {node}")),
            "expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "token-id": token.id(),
            "token-secret": token.secret(),
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
        },
    })
}

fn write_fat(target: &Path, files: &[(&str, &[u8])], time: u32) -> anyhow::Result<()> {
    let mut volume = fat::Volume::new(FAT_SIZE, time, &LABEL.to_ascii_uppercase(), time)?;
    for (name, content) in files {
        volume.add(name, content.len() as u64)?;
    }
    let plan = volume.plan()?;
    file::write(target, PRIVATE, |file| {
        file.set_len(FAT_SIZE)?;
        let contents = files.iter().filter_map(|(name, content)| Some((plan.files.get(*name)?.start, *content)));
        let metadata = plan.metadata.iter().map(|(offset, bytes)| (*offset, bytes.as_slice()));
        for (offset, bytes) in metadata.chain(contents) {
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)?;
        }
        Ok(())
    })
}
