//! interim
use crate::tree::Digest;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[allow(missing_docs)]
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
}
#[allow(missing_docs)]
pub struct DerivedWriter {
    file: io::BufWriter<tempfile::NamedTempFile>,
    to: PathBuf,
}
impl Write for DerivedWriter {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        self.file.write(b)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
#[allow(missing_docs)]
impl DerivedWriter {
    pub fn finish(self) -> io::Result<PathBuf> {
        let f = self.file.into_inner().map_err(|e| e.into_error())?;
        f.persist(&self.to).map_err(|e| e.error)?;
        Ok(self.to)
    }
}
#[allow(missing_docs)]
impl Cache {
    pub fn open(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        Ok(Self { root: root.into() })
    }
    fn path(&self, kind: &str, key: &Digest) -> PathBuf {
        self.root.join(kind).join(key.to_string())
    }
    pub fn derived(&self, kind: &str, key: &Digest) -> Option<Vec<u8>> {
        std::fs::read(self.path(kind, key)).ok()
    }
    pub fn derived_file(&self, kind: &str, key: &Digest) -> Option<PathBuf> {
        let p = self.path(kind, key);
        p.exists().then_some(p)
    }
    pub fn create_derived(&self, kind: &str, key: &Digest) -> io::Result<DerivedWriter> {
        let to = self.path(kind, key);
        let dir = self.root.join(kind);
        std::fs::create_dir_all(&dir)?;
        Ok(DerivedWriter { file: io::BufWriter::with_capacity(1 << 18, tempfile::NamedTempFile::new_in(dir)?), to })
    }
    pub fn put_derived(&self, kind: &str, key: &Digest, bytes: &[u8]) -> io::Result<()> {
        let mut w = self.create_derived(kind, key)?;
        w.write_all(bytes)?;
        w.finish().map(drop)
    }
}
