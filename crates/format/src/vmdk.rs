//! Stream-optimized VMDK, as described in VMware's "Virtual Disk Format 5.0": the format of disks
//! in OVF packages.
//!
//! The file is a stream: header, descriptor, compressed grains each after a marker, a grain table
//! after the grains that it lists, then the grain directory, a footer (the header again, now with
//! the directory's location), and an end marker.
//! All numbers are little-endian, and positions are in sectors of 512 bytes.

use super::block::{BlockSource, EncodeError};
use super::clusters::{self, CLUSTER, DEFLATE_LEVEL};
use flate2::{Compress, Compression, FlushCompress, Status};
use std::io::{self, Write};

const SECTOR: usize = 512;
/// The number of sectors of a grain.
const GRAIN_SIZE: u64 = (CLUSTER / SECTOR) as u64;
/// `numGTEsPerGT`: the number of grains in a grain table.
const GRAIN_TABLE_ENTRIES: u32 = 512;
/// The number of sectors before the first grain.
const OVERHEAD: usize = 128;
/// The number of sectors of the embedded descriptor.
const DESCRIPTOR_SIZE: u64 = 20;
/// The `gdOffset` of a header whose footer has the actual value.
const GD_AT_END: u64 = u64::MAX;
/// Flags: line ends can be tested, grains are compressed, markers are present.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;
/// Positions have 32 bits.
const MAX_SIZE: u64 = 2 << 40;

/// The type of a metadata marker.
#[derive(Clone, Copy)]
enum Marker {
    EndOfStream,
    GrainTable,
    GrainDirectory,
    Footer,
}

/// The capacity of a VMDK made from a disk of `size` bytes: whole grains of 64 KiB.
pub fn padded(size: u64) -> u64 {
    size.next_multiple_of(CLUSTER as u64)
}

/// Writes `disk` as a stream-optimized VMDK to `out` in up to `threads` threads; the bytes do not
/// depend on their number. `name` is the name of the file, `cid` its content id. `made` is called
/// with the number of bytes of each finished part of the disk. The disk is padded with zeros, see
/// [`padded`].
///
/// # Errors
/// [`EncodeError`].
pub fn write(
    disk: &dyn BlockSource,
    (name, cid): (&str, u32),
    out: &mut dyn Write,
    threads: usize,
    made: &(dyn Fn(u64) + Sync),
) -> Result<(), EncodeError> {
    if disk.size() > MAX_SIZE {
        return Err(EncodeError::TooLarge { size: disk.size(), format: "VMDK", limit: MAX_SIZE });
    }
    let capacity = padded(disk.size()) / SECTOR as u64;
    let mut stream = Stream { out, sectors: 0 };
    stream.write(&header(capacity, GD_AT_END))?;
    let mut descriptor = descriptor(name, cid, capacity).into_bytes();
    descriptor.resize((OVERHEAD - 1) * SECTOR, 0);
    stream.write(&descriptor)?;

    let per_table = u64::from(GRAIN_TABLE_ENTRIES);
    let mut tables = GrainTables { directory: Vec::new(), table: Vec::new() };
    clusters::compress(
        disk,
        threads,
        made,
        || Ok(zlib()),
        |grain, compressed: Vec<u8>| {
            while tables.directory.len() as u64 != grain / per_table {
                tables.close(&mut stream)?;
            }
            // Entries for grains without data stay 0.
            tables.table.resize(usize::try_from(grain % per_table).unwrap_or(0), 0);
            tables.table.push(stream.position()?);
            stream.grain(grain * GRAIN_SIZE, &compressed)
        },
    )?;
    while (tables.directory.len() as u64) < capacity.div_ceil(GRAIN_SIZE * per_table) {
        tables.close(&mut stream)?;
    }

    let directory: Vec<u8> = tables.directory.iter().flat_map(|table| table.to_le_bytes()).collect();
    let gd_offset = stream.metadata(Marker::GrainDirectory, &directory)?;
    stream.metadata(Marker::Footer, &header(capacity, u64::from(gd_offset)))?;
    stream.metadata(Marker::EndOfStream, &[])?;
    Ok(())
}

/// The grain directory so far, and the table that is being filled.
struct GrainTables {
    directory: Vec<u32>,
    table: Vec<u32>,
}

impl GrainTables {
    /// Writes the table unless it is empty, and starts the next.
    fn close(&mut self, stream: &mut Stream<'_>) -> Result<(), EncodeError> {
        let mut offset = 0;
        if !self.table.is_empty() {
            self.table.resize(GRAIN_TABLE_ENTRIES as usize, 0);
            let entries: Vec<u8> = self.table.drain(..).flat_map(|grain| grain.to_le_bytes()).collect();
            offset = stream.metadata(Marker::GrainTable, &entries)?;
        }
        self.directory.push(offset);
        Ok(())
    }
}

/// A file that is written in whole sectors.
struct Stream<'a> {
    out: &'a mut dyn Write,
    sectors: u64,
}

impl Stream<'_> {
    /// The number of the next sector.
    fn position(&self) -> Result<u32, EncodeError> {
        u32::try_from(self.sectors).map_err(|_| EncodeError::TooLarge {
            size: self.sectors * SECTOR as u64,
            format: "VMDK",
            limit: MAX_SIZE,
        })
    }

    /// Writes `bytes` and pads their last sector.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sectors = bytes.len().div_ceil(SECTOR);
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; SECTOR][..sectors * SECTOR - bytes.len()])?;
        self.sectors += sectors as u64;
        Ok(())
    }

    /// Writes a grain marker, which is in the first twelve bytes of the grain's sectors.
    fn grain(&mut self, lba: u64, compressed: &[u8]) -> Result<(), EncodeError> {
        let size = u32::try_from(compressed.len()).map_err(io::Error::other)?;
        let marker = [&lba.to_le_bytes()[..], &size.to_le_bytes(), compressed].concat();
        Ok(self.write(&marker)?)
    }

    /// Writes a metadata marker and the data that it announces; returns the sector of the data.
    fn metadata(&mut self, marker: Marker, bytes: &[u8]) -> Result<u32, EncodeError> {
        let kind: u32 = match marker {
            Marker::EndOfStream => 0,
            Marker::GrainTable => 1,
            Marker::GrainDirectory => 2,
            Marker::Footer => 3,
        };
        let sectors = bytes.len().div_ceil(SECTOR) as u64;
        // Size 0 distinguishes it from a grain marker.
        self.write(&[&sectors.to_le_bytes()[..], &0_u32.to_le_bytes(), &kind.to_le_bytes()].concat())?;
        let position = self.position()?;
        self.write(bytes)?;
        Ok(position)
    }
}

/// A compressor of grains to zlib streams (RFC 1950).
fn zlib() -> impl FnMut(&[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = Compress::new(Compression::new(DEFLATE_LEVEL), true);
    // Deflate adds five bytes to each block that does not shrink, zlib adds six in total.
    let mut buffer = vec![0; CLUSTER + CLUSTER / 16];
    move |grain| {
        compressor.reset();
        match compressor.compress(grain, &mut buffer, FlushCompress::Finish).map_err(io::Error::other)? {
            Status::StreamEnd => {}
            Status::Ok | Status::BufError => return Err(io::ErrorKind::WriteZero.into()),
        }
        let len = usize::try_from(compressor.total_out()).map_err(io::Error::other)?;
        Ok(buffer[..len].to_vec())
    }
}

/// `SparseExtentHeader`, for the file's beginning or its footer.
fn header(capacity: u64, gd_offset: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SECTOR);
    bytes.extend(b"KDMV"); // magicNumber
    bytes.extend(3_u32.to_le_bytes()); // version
    bytes.extend(FLAGS.to_le_bytes());
    bytes.extend(capacity.to_le_bytes());
    bytes.extend(GRAIN_SIZE.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes()); // descriptorOffset
    bytes.extend(DESCRIPTOR_SIZE.to_le_bytes());
    bytes.extend(GRAIN_TABLE_ENTRIES.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes()); // rgdOffset
    bytes.extend(gd_offset.to_le_bytes());
    bytes.extend((OVERHEAD as u64).to_le_bytes()); // overHead
    bytes.push(0); // uncleanShutdown
    bytes.extend(b"\n \r\n"); // singleEndLineChar, nonEndLineChar, doubleEndLineChar1 and 2
    bytes.extend(1_u16.to_le_bytes()); // compressAlgorithm: deflate
    bytes.resize(SECTOR, 0);
    bytes
}

/// The embedded descriptor file.
fn descriptor(name: &str, cid: u32, capacity: u64) -> String {
    let (heads, sectors) = (255, 63);
    // The limit of a BIOS; for larger disks only the capacity counts.
    let cylinders = (capacity / (heads * sectors)).min(65535);
    format!(
        r#"# Disk DescriptorFile
version=1
CID={cid:08x}
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW {capacity} SPARSE "{name}"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "{heads}"
ddb.geometry.sectors = "{sectors}"
ddb.longContentID = "{cid:032x}"
ddb.virtualHWVersion = "{hardware}"
"#,
        hardware = super::ovf::HARDWARE_VERSION,
    )
}
