//! The input of file systems: inodes and their names in directories.

use std::collections::BTreeMap;

/// The index of an inode in [`Inodes`]: inodes are numbered in the order in which they were added,
/// and the root directory is 0.
pub type Index = usize;

/// The root directory.
pub const ROOT: Index = 0;

/// The type of an inode; `C` is the type of file contents.
#[derive(Debug)]
pub enum Kind<'a, C> {
    /// A directory: its names in the order of the output, without `.` and `..`.
    Directory(Vec<(&'a [u8], Index)>),
    /// A regular file.
    Regular {
        /// The size in bytes.
        size: u64,
        /// The content.
        content: C,
        /// Whether it changes more often than other files and is therefore placed after them.
        late: bool,
    },
    /// A symbolic link to this target.
    Symlink(&'a [u8]),
    /// A character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Everything about an inode except its type.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// All of its timestamps, seconds since 1970.
    pub mtime: u32,
    /// Extended attributes by full name.
    pub xattrs: &'a BTreeMap<String, Vec<u8>>,
}

/// An inode, independent of its names.
#[derive(Debug)]
pub struct Inode<'a, C> {
    /// Its type.
    pub kind: Kind<'a, C>,
    /// Everything else.
    pub attributes: Attributes<'a>,
    /// The number of its names, without `.` and `..`.
    pub names: u32,
    /// The directory of its first name; the root's parent is the root.
    pub parent: Index,
    name: &'a [u8],
}

/// The inodes of a file system. Parents come before their children.
#[derive(Debug)]
pub struct Inodes<'a, C> {
    list: Vec<Inode<'a, C>>,
}

impl<'a, C> Inodes<'a, C> {
    /// Starts with an empty root directory.
    pub fn new(root: Attributes<'a>) -> Self {
        let kind = Kind::Directory(Vec::new());
        Self { list: vec![Inode { kind, attributes: root, names: 1, parent: ROOT, name: b"" }] }
    }

    /// Adds a new inode called `name` to the directory `parent`, which must not have that name yet.
    pub fn add(&mut self, parent: Index, name: &'a [u8], kind: Kind<'a, C>, attributes: Attributes<'a>) -> Index {
        let index = self.list.len();
        self.list.push(Inode { kind, attributes, names: 0, parent, name });
        self.link(parent, name, index);
        index
    }

    /// Adds another name for the inode `index`.
    pub fn link(&mut self, parent: Index, name: &'a [u8], index: Index) {
        if let Kind::Directory(names) = &mut self.list[parent].kind {
            names.push((name, index));
            self.list[index].names += 1;
        }
    }

    /// All inodes, by their [`Index`].
    pub fn all(&self) -> &[Inode<'a, C>] {
        &self.list
    }

    /// The first path of an inode, for messages.
    pub fn path(&self, index: Index) -> String {
        if index == ROOT {
            return "/".to_owned();
        }
        let mut names = Vec::new();
        let mut at = index;
        while at != ROOT {
            let inode = &self.list[at];
            names.push(String::from_utf8_lossy(inode.name).into_owned());
            at = inode.parent;
        }
        names.iter().rev().map(|name| format!("/{name}")).collect()
    }
}
