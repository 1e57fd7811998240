//! What the root's file systems are written from: inodes, and the names they have in directories.

use std::collections::BTreeMap;

/// Which inode of [`Inodes`]: they are counted in the order in which they were added, the root directory being 0.
pub type Index = usize;

/// The root directory.
pub const ROOT: Index = 0;

/// What an inode is; `C` stands for the bytes of a file, wherever they are.
#[derive(Debug)]
pub enum Kind<'a, C> {
    /// A directory: names, in the order they are to have, without `.` and `..`.
    Directory(Vec<(&'a [u8], Index)>),
    /// A regular file.
    Regular {
        /// Bytes.
        size: u64,
        /// Where they are.
        content: C,
        /// Changes more often than others, so goes after them.
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

/// Everything about an inode but what it is.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Permission bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// All of its times, seconds since 1970.
    pub mtime: u32,
    /// Extended attributes by full name.
    pub xattrs: &'a BTreeMap<String, Vec<u8>>,
}

/// A file, whatever its names.
#[derive(Debug)]
pub struct Inode<'a, C> {
    /// What it is.
    pub kind: Kind<'a, C>,
    /// The rest.
    pub attributes: Attributes<'a>,
    /// Names it has, those of a directory's parent and children not counted.
    pub names: u32,
    /// The directory of its first name; the root's own is the root.
    pub parent: Index,
    name: &'a [u8],
}

/// The inodes of a file system. Parents come before their children.
#[derive(Debug)]
pub struct Inodes<'a, C> {
    list: Vec<Inode<'a, C>>,
}

impl<'a, C> Inodes<'a, C> {
    /// An empty root directory.
    pub fn new(root: Attributes<'a>) -> Self {
        let kind = Kind::Directory(Vec::new());
        Self { list: vec![Inode { kind, attributes: root, names: 1, parent: ROOT, name: b"" }] }
    }

    /// A new inode called `name` in the directory `parent`, which has no such name yet.
    pub fn add(&mut self, parent: Index, name: &'a [u8], kind: Kind<'a, C>, attributes: Attributes<'a>) -> Index {
        let index = self.list.len();
        self.list.push(Inode { kind, attributes, names: 0, parent, name });
        self.link(parent, name, index);
        index
    }

    /// Gives the inode `index` another name.
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
