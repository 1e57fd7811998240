//! What comes in packages and release tarballs.

use crate::synthetic::{Member, ar, control, deb_of, directory, file, gzip, hardlink, program, symlink, tar, xz};
use kiln_finalize::elf::Elf;
use kiln_pack::{DebFile, decompress, read_archive};
use kiln_testing::fuzz::Fuzz;
use std::io::{self, Cursor, Read};

const DEB_WORDS: [&[u8]; 7] =
    [b"!<arch>\n", b"debian-binary", b"control.tar", b"data.tar", b"2.0\n", b"`\n", b"_gpgorigin"];
const TAR_WORDS: [&[u8]; 12] = [
    b"ustar\0",
    b"ustar  \0",
    b"./",
    b"../",
    b"/",
    b"L",
    b"K",
    b"x",
    b"g",
    b"30 SCHILY.xattr.user.a=b\n",
    b"20 path=aaaaaaaaaa\n",
    b"\x80\xff\xff\xff\xff\xff\xff\xff",
];

fn members() -> Vec<Member> {
    vec![
        directory("./"),
        directory("./usr/"),
        directory("./etc/"),
        file("./usr/a", "hello".repeat(300)),
        file("./etc/conf", "a=b\n"),
        hardlink("./usr/b", "./usr/a"),
        symlink("./usr/c", "a"),
        program("./usr/d", vec![0x7f; 700]),
    ]
}

/// Samples from another hand: GNU tar with long names, extended attributes and sparse headers.
fn gnu_tars() -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("n".repeat(180)), "long name").expect("written");
    std::os::unix::fs::symlink("t".repeat(180), dir.path().join("link")).expect("linked");
    ["gnu", "pax", "ustar"]
        .iter()
        .map(|format| {
            let mut command = std::process::Command::new("tar");
            let output = command.args(["-c", "--sort=name", "-H", format, "-C"]).arg(dir.path()).arg(".").output();
            let output = output.expect("tar, of the Debian package tar");
            // ustar cannot hold the long link; what it made until then is a sample, too.
            output.stdout
        })
        .filter(|bytes| !bytes.is_empty())
        .collect()
}

/// Gives every 512-byte block that looks like a header a right checksum.
fn repair_tar(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

fn repair_nothing(_: &mut Vec<u8>) {}

#[test]
fn deb() {
    let plain = tar(&members());
    let text = control("a", "1", "Replaces: b (<< 2)\n");
    let control_tar = tar(&[directory("./"), file("./control", text.as_str())]);
    let uncompressed = ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control_tar), ("data.tar", &plain)]);
    let zstd = zstd::encode_all(plain.as_slice(), 1).expect("compressed");
    let samples = vec![
        uncompressed,
        deb_of(&text, &xz(&plain)),
        crate::synthetic::deb(&text, &members()),
        ar(&[
            ("debian-binary", b"2.0\n"),
            ("_x", b"?"),
            ("control.tar.gz", &gzip(&control_tar)),
            ("data.tar.zst", &zstd),
        ]),
    ];
    Fuzz { name: "deb", samples, words: &DEB_WORDS, repair: repair_nothing }.run(|bytes| {
        let Ok(mut package) = DebFile::new(Cursor::new(bytes)) else { return false };
        let control = package.control().is_ok();
        let Ok((data, _)) = package.data() else { return false };
        let Ok(data) = decompress(io::BufReader::new(data), 1) else { return false };
        read_archive(data, &["etc"], &mut io::sink()).is_ok() && control
    });
}

#[test]
fn tar_members() {
    let mut samples = gnu_tars();
    samples.retain(|bytes| read_archive(bytes.as_slice(), &["etc"], &mut io::sink()).is_ok());
    assert!(samples.len() >= 2, "GNU tar's archives are refused");
    samples.push(tar(&members()));
    Fuzz { name: "tar", samples, words: &TAR_WORDS, repair: repair_tar }
        .run(|bytes| read_archive(bytes, &["etc"], &mut io::sink()).is_ok());
}

#[test]
fn compressed_streams() {
    let plain = tar(&members());
    let samples = vec![xz(&plain), gzip(&plain), zstd::encode_all(plain.as_slice(), 1).expect("compressed"), plain];
    Fuzz { name: "compression", samples, words: &[], repair: repair_nothing }.run(|bytes| {
        let Ok(stream) = decompress(bytes, 1) else { return false };
        io::copy(&mut stream.take(64 << 20), &mut io::sink()).is_ok()
    });
}

#[test]
fn elf_files() {
    // The test itself and its loader's smaller relatives are real ones.
    let own = std::fs::read("/proc/self/exe").expect("readable");
    let mut samples: Vec<Vec<u8>> = Vec::new();
    for path in ["/bin/true", "/usr/bin/true", "/lib64/ld-linux-x86-64.so.2"] {
        samples.extend(std::fs::read(path).ok().filter(|bytes| bytes.len() < 1 << 18));
    }
    samples.push(own[..own.len().min(1 << 16)].to_vec());
    samples.retain(|bytes| parse_elf(bytes));
    Fuzz { name: "elf", samples, words: &[b"\x7fELF", b"\0.modinfo\0", b"\0.symtab\0"], repair: repair_nothing }
        .run(parse_elf);
}

/// Everything that finalizers ask of an ELF file.
fn parse_elf(bytes: &[u8]) -> bool {
    let Ok(elf) = Elf::parse(bytes) else { return false };
    let segments = elf.segments().flatten().count();
    let Ok(sections) = elf.sections() else { return segments > 0 };
    for name in [".modinfo", ".symtab", ".strtab", "__versions"] {
        if let Some(symbols) = sections.get(name).and_then(|section| sections.symbols(section)) {
            let _ = symbols.count();
        }
    }
    true
}
