//! Checks the Unified Kernel Image with binutils and LLVM.

use crate::disk::shared::{Built, built};
use crate::disk::tools::{run, text, tool};
use std::path::PathBuf;

fn image(built: &Built) -> PathBuf {
    let path = built.out().with_file_name("image.efi");
    std::fs::write(&path, built.on_esp("/EFI/Linux/kiln-worker_1.20.2+3-0.efi")).expect("written");
    path
}

#[test]
fn every_section_is_there_with_its_content() {
    let built = built();
    let image = image(built);
    let section = |name: &str| {
        let copy = image.with_extension("section");
        let mut objcopy = tool("objcopy", "binutils");
        run(objcopy.args(["-O", "binary", "--only-section"]).arg(name).arg(&image).arg(&copy));
        std::fs::read(&copy).expect("a section")
    };
    assert_eq!(section(".osrel"), built.in_root("usr/lib/os-release"));
    let cmdline = String::from_utf8(section(".cmdline")).expect("text");
    assert_eq!(cmdline, built.disk.disk.cmdline);
    assert!(cmdline.ends_with(&format!(" roothash={}", built.disk.root_hash)), "{cmdline}");
    let kernel = built.manifest.files.iter().find_map(|record| record.path.strip_prefix("boot/vmlinuz-"));
    assert_eq!(String::from_utf8(section(".uname")).ok().as_deref(), kernel);
    let linux = image.with_extension("linux");
    std::fs::write(&linux, section(".linux")).expect("written");
    let sum = text(tool("sha256sum", "coreutils").arg(&linux));
    let record = built.manifest.files.iter().find(|record| record.path.starts_with("boot/vmlinuz-"));
    assert_eq!(Some(&sum[..64]), record.and_then(|record| record.sha256.as_deref()), "the kernel");
    let initrd = image.with_extension("initrd");
    std::fs::write(&initrd, section(".initrd")).expect("written");
    run(tool("zstd", "zstd").arg("-tq").arg(&initrd));
    assert!(String::from_utf8_lossy(&section(".sbat")).starts_with("sbat,1,"), "the stub's own section");
}

#[test]
fn llvm_and_binutils_find_a_consistent_program() {
    let built = built();
    let image = image(built);
    let headers = text(tool("llvm-readobj", "llvm").args(["--file-headers", "--sections"]).arg(&image));
    for fact in ["Machine: IMAGE_FILE_MACHINE_AMD64", "IMAGE_SUBSYSTEM_EFI_APPLICATION", "PointerToSymbolTable: 0x0\n"]
    {
        assert!(headers.contains(fact), "{fact}: {headers}");
    }
    // Virtual addresses: no section overlaps another, and none is outside the image.
    let number = |line: &str| {
        let digits = line.rsplit(' ').next().expect("a number");
        match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).expect("hexadecimal"),
            None => digits.parse().expect("decimal"),
        }
    };
    let all = |key: &str| -> Vec<u64> {
        headers.lines().map(str::trim).filter(|line| line.starts_with(key)).map(number).collect()
    };
    let (addresses, sizes) = (all("VirtualAddress:"), all("VirtualSize:"));
    let ends: Vec<u64> = addresses.iter().zip(&sizes).map(|(address, size)| address + size).collect();
    assert!(addresses.len() > 8, "{headers}");
    assert!(ends.iter().zip(&addresses[1..]).all(|(end, next)| end <= next), "{headers}");
    assert!(ends.last() <= all("SizeOfImage:").last(), "{headers}");
    let raw_ends = all("PointerToRawData:").into_iter().zip(all("RawDataSize:")).map(|(start, size)| start + size);
    assert_eq!(
        raw_ends.max(),
        Some(std::fs::metadata(&image).expect("the image").len()),
        "nothing follows the last section"
    );
    let format = text(tool("objdump", "binutils").arg("-f").arg(&image));
    assert!(format.contains("pei-x86-64"), "{format}");
}
