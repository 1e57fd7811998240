//! kmod's binary index (`modules.*.bin`): a Patricia trie over 7-bit keys. All integers are 32-bit
//! big-endian.
//!
//! ```text
//! magic, version, offset of the root node
//! node: prefix, NUL                                              if PREFIX
//!       first, last (bytes), offsets of children[first..=last]   if CHILDS
//!       number of values, (priority, value, NUL) of each         if VALUES
//! ```
//! The high bits of an offset say which of the three parts the node has. See kmod's
//! `libkmod-index.c`.

use super::Kmod;
use std::collections::BTreeMap;

const INDEX_MAGIC: u32 = 0xB007_F457;
const INDEX_VERSION: u32 = 0x0002_0001;
const INDEX_NODE_PREFIX: u32 = 0x8000_0000;
const INDEX_NODE_VALUES: u32 = 0x4000_0000;
const INDEX_NODE_CHILDS: u32 = 0x2000_0000;
const INDEX_NODE_MASK: u32 = 0x0FFF_FFFF;
/// Magic, version and offset of the root.
const HEADER: usize = 12;

/// An index under construction. Nodes refer to each other by position, so that a long chain of keys
/// that extend one another does not use the call stack.
pub(super) struct Index {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    prefix: Vec<u8>,
    /// By ascending priority; of equal ones the later insertion comes first.
    values: Vec<(u32, String)>,
    children: BTreeMap<u8, usize>,
}

/// The index does not fit into its 28-bit offsets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooBig;

impl Index {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    /// Adds `value` to `key`; both are ASCII without NUL.
    pub(super) fn insert(&mut self, key: &str, value: &str, priority: u32) {
        let mut rest = key.as_bytes();
        let mut at = 0;
        loop {
            let shared = self.nodes[at].prefix.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if shared < self.nodes[at].prefix.len() {
                self.split(at, shared);
            }
            let Some((&branch, tail)) = rest[shared..].split_first() else {
                self.nodes[at].add(value, priority);
                return;
            };
            rest = tail;
            let next = self.nodes.len();
            at = *self.nodes[at].children.entry(branch).or_insert(next);
            if at == next {
                let mut leaf = Node { prefix: rest.to_vec(), ..Node::default() };
                leaf.add(value, priority);
                self.nodes.push(leaf);
                return;
            }
        }
    }

    /// Cuts the prefix of node `at` after `length` bytes and moves its contents to a child.
    fn split(&mut self, at: usize, length: usize) {
        let child = self.nodes.len();
        let mut lower = std::mem::take(&mut self.nodes[at]);
        let tail = lower.prefix.split_off(length);
        let upper = &mut self.nodes[at];
        upper.prefix = std::mem::take(&mut lower.prefix);
        if let Some((&branch, prefix)) = tail.split_first() {
            lower.prefix = prefix.to_vec();
            upper.children.insert(branch, child);
        }
        self.nodes.push(lower);
    }

    /// Returns the file.
    pub(super) fn bytes(&self, kmod: Kmod) -> Result<Vec<u8>, TooBig> {
        let order = self.order(kmod);
        let mut offsets = vec![0; self.nodes.len()];
        let mut end = HEADER;
        for &at in &order {
            let offset = u32::try_from(end).ok().filter(|offset| *offset <= INDEX_NODE_MASK).ok_or(TooBig)?;
            offsets[at] = offset | self.nodes[at].flags();
            end += self.nodes[at].size();
        }
        let mut bytes = Vec::with_capacity(end);
        for word in [INDEX_MAGIC, INDEX_VERSION, offsets[0]] {
            bytes.extend(word.to_be_bytes());
        }
        for &at in &order {
            self.nodes[at].write(&offsets, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Returns the nodes in the order of the file: kmod 34 writes a node before its children, kmod
    /// 30 after them.
    fn order(&self, kmod: Kmod) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut todo = vec![0];
        while let Some(at) = todo.pop() {
            order.push(at);
            let children = self.nodes[at].children.values();
            match kmod {
                Kmod::V34 => todo.extend(children.rev()),
                Kmod::V30 => todo.extend(children),
            }
        }
        if kmod == Kmod::V30 {
            order.reverse();
        }
        order
    }
}

impl Node {
    fn add(&mut self, value: &str, priority: u32) {
        let at = self.values.partition_point(|(other, _)| *other < priority);
        self.values.insert(at, (priority, value.to_owned()));
    }

    /// Returns its smallest and largest child.
    fn range(&self) -> Option<(u8, u8)> {
        Some((*self.children.first_key_value()?.0, *self.children.last_key_value()?.0))
    }

    fn flags(&self) -> u32 {
        let flag = |set, flag| if set { flag } else { 0 };
        flag(!self.prefix.is_empty(), INDEX_NODE_PREFIX)
            | flag(!self.children.is_empty(), INDEX_NODE_CHILDS)
            | flag(!self.values.is_empty(), INDEX_NODE_VALUES)
    }

    fn size(&self) -> usize {
        let prefix = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let children = self.range().map_or(0, |(first, last)| 2 + 4 * (usize::from(last - first) + 1));
        let values: usize = self.values.iter().map(|(_, value)| 4 + value.len() + 1).sum();
        prefix + children + if self.values.is_empty() { 0 } else { 4 + values }
    }

    fn write(&self, offsets: &[u32], bytes: &mut Vec<u8>) -> Result<(), TooBig> {
        if !self.prefix.is_empty() {
            bytes.extend(&self.prefix);
            bytes.push(0);
        }
        if let Some((first, last)) = self.range() {
            bytes.extend([first, last]);
            for branch in first..=last {
                let offset = self.children.get(&branch).map_or(0, |&child| offsets[child]);
                bytes.extend(offset.to_be_bytes());
            }
        }
        if !self.values.is_empty() {
            bytes.extend(u32::try_from(self.values.len()).map_err(|_| TooBig)?.to_be_bytes());
            for (priority, value) in &self.values {
                bytes.extend(priority.to_be_bytes());
                bytes.extend(value.as_bytes());
                bytes.push(0);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns all keys and values of a file, read by following its offsets.
    fn read(bytes: &[u8]) -> Vec<(String, String, u32)> {
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let text = |at: usize| bytes[at..].split(|&byte| byte == 0).next().expect("a string").to_vec();
        assert_eq!((word(0), word(4)), (INDEX_MAGIC, INDEX_VERSION));
        let mut found = Vec::new();
        let mut todo = vec![(Vec::new(), word(8))];
        while let Some((mut key, offset)) = todo.pop() {
            let mut at = usize::try_from(offset & INDEX_NODE_MASK).expect("an offset");
            if offset & INDEX_NODE_PREFIX != 0 {
                key.extend(text(at));
                at += text(at).len() + 1;
            }
            if offset & INDEX_NODE_CHILDS != 0 {
                let (first, last) = (bytes[at], bytes[at + 1]);
                at += 2;
                for branch in first..=last {
                    if word(at) != 0 {
                        todo.push(([&key[..], &[branch]].concat(), word(at)));
                    }
                    at += 4;
                }
            }
            if offset & INDEX_NODE_VALUES != 0 {
                let count = word(at);
                at += 4;
                for _ in 0..count {
                    let value = text(at + 4);
                    let key = String::from_utf8(key.clone()).expect("text");
                    found.push((key, String::from_utf8(value.clone()).expect("text"), word(at)));
                    at += 4 + value.len() + 1;
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn an_empty_index_is_a_header() {
        assert_eq!(Index::new().bytes(Kmod::V34).expect("small").len(), HEADER);
        assert_eq!(Index::new().bytes(Kmod::V30), Index::new().bytes(Kmod::V34));
    }

    #[test]
    fn equal_keys_are_sorted_by_priority_then_backwards() {
        let mut index = Index::new();
        for (value, priority) in [("b", 2), ("a", 1), ("c", 2)] {
            index.insert("k", value, priority);
        }
        let bytes = index.bytes(Kmod::V34).expect("small");
        assert!(bytes.ends_with(b"\0\0\0\x03\0\0\0\x01a\0\0\0\0\x02c\0\0\0\0\x02b\0"));
    }

    proptest! {
        #[test]
        fn what_is_inserted_is_read_back(entries in prop::collection::vec(("[ab-]{0,6}", "[a-z]{0,3}", 0u32..4), 0..30)) {
            let mut index = Index::new();
            for (key, value, priority) in &entries {
                index.insert(key, value, *priority);
            }
            let mut wanted = entries;
            wanted.sort();
            for kmod in [Kmod::V30, Kmod::V34] {
                prop_assert_eq!(&read(&index.bytes(kmod).expect("small")), &wanted);
            }
        }
    }
}
