//! The file system that a kernel boots into: an archive as `cpio -H newc` makes it, which is the kernel's own definition
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive that is being made.
#[derive(Debug, Default)]
pub struct Initramfs {
    bytes: Vec<u8>,
    folders: BTreeSet<String>,
    entries: u32,
}

impl Initramfs {
    /// Adds a file under a name without a slash before it; its folders too.
    pub fn file(&mut self, name: &str, source: &Path) -> Result<()> {
        let content = std::fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        self.add(name, &content);
        Ok(())
    }

    fn add(&mut self, name: &str, content: &[u8]) {
        for (end, _) in name.match_indices('/') {
            let folder = name.get(..end).unwrap_or_default();
            if self.folders.insert(folder.to_owned()) {
                self.entry(folder, FOLDER, &[]);
            }
        }
        self.entry(name, PROGRAM, content);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        // Number, mode, owner, group, links, time, length, four numbers of devices, length of the name with its zero, no checksum.
        let (length, name_length) = (content.len() as u32, name.len() as u32 + 1);
        let fields = [self.entries, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name_length, 0];
        self.bytes.extend(b"070701");
        fields.iter().for_each(|field| self.bytes.extend(format!("{field:08x}").as_bytes()));
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    /// Everything begins at a multiple of four.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// The archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_as_the_kernel_reads_them() {
        let mut archive = Initramfs::default();
        archive.add("a/b", b"hello");
        archive.add("a/c", b"");
        let bytes = archive.finish();
        // Read as buffer-format.rst says.
        let (mut at, mut found) = (0, vec![]);
        loop {
            let text = |from: usize, length: usize| std::str::from_utf8(&bytes[from..from + length]).unwrap();
            assert_eq!((text(at, 6), at % 4), ("070701", 0));
            let field = |i: usize| usize::from_str_radix(text(at + 6 + 8 * i, 8), 16).unwrap();
            let (mode, length, name_length) = (field(1), field(6), field(11));
            let name = text(at + 110, name_length - 1).to_owned();
            let content = (at + 110 + name_length).next_multiple_of(4);
            if name == "TRAILER!!!" {
                break;
            }
            found.push((name, mode, text(content, length).to_owned()));
            at = (content + length).next_multiple_of(4);
        }
        let entry = |name: &str, mode: u32, content: &str| (name.to_owned(), mode as usize, content.to_owned());
        assert_eq!(found, [entry("a", FOLDER, ""), entry("a/b", PROGRAM, "hello"), entry("a/c", PROGRAM, "")]);
    }
}
