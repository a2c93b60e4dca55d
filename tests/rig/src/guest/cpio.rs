// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file tree, and the `newc` cpio archive that Linux unpacks as initramfs.
//!
//! Written here rather than by cpio(1): a tree in memory needs no root to have
//! root's files in it, and times and inode numbers are the same in every run,
//! which the deterministic (icount) runs depend on.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// The guest's files, by path without the leading slash.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    mode: u32,
    contents: Vec<u8>,
}

impl Tree {
    /// An empty directory.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) {
        self.insert(path, DIRECTORY | mode, Vec::new());
    }

    /// A file with these contents.
    pub(crate) fn file(&mut self, path: &str, mode: u32, contents: impl Into<Vec<u8>>) {
        self.insert(path, REGULAR | mode, contents.into());
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &str, to: &str) {
        self.insert(path, LINK | 0o777, to.as_bytes().to_vec());
    }

    /// A copy of a file of this machine, links followed.
    pub(crate) fn copy(&mut self, path: &str, from: &Path, mode: u32) -> Result<()> {
        let contents =
            fs::read(from).with_context(|| format!("reading {} for the guest", from.display()))?;
        self.file(path, mode, contents);
        Ok(())
    }

    /// A copy of a whole folder, links kept as links.
    pub(crate) fn copy_folder(&mut self, path: &str, from: &Path) -> Result<()> {
        self.directory(path, 0o755);
        let listing =
            fs::read_dir(from).with_context(|| format!("reading the folder {}", from.display()))?;
        for entry in listing {
            let source = entry?.path();
            let name = source.file_name().unwrap_or_default().to_string_lossy();
            let path = format!("{path}/{name}");
            let metadata = source
                .symlink_metadata()
                .with_context(|| format!("reading {}", source.display()))?;
            if metadata.is_symlink() {
                self.link(&path, &fs::read_link(&source)?.to_string_lossy());
            } else if metadata.is_dir() {
                self.copy_folder(&path, &source)?;
            } else if metadata.is_file() {
                self.copy(&path, &source, metadata.permissions().mode() & 0o7777)?;
            }
        }
        Ok(())
    }

    /// Whether the path is there already.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    fn insert(&mut self, path: &str, mode: u32, contents: Vec<u8>) {
        let path = path.trim_start_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/')
            && !self.entries.contains_key(parent)
        {
            self.directory(parent, 0o755);
        }
        self.entries
            .insert(path.to_owned(), Entry { mode, contents });
    }

    /// Writes the archive; parents sort before what is in them.
    pub(crate) fn write(&self, to: &mut dyn Write) -> Result<()> {
        let mut inode = 0;
        for (path, entry) in &self.entries {
            inode += 1;
            record(to, inode, path, entry)?;
        }
        let end = Entry {
            mode: 0,
            contents: Vec::new(),
        };
        record(to, 0, "TRAILER!!!", &end)
    }

    /// The archive in memory.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(&mut bytes)?;
        Ok(bytes)
    }
}

/// One header of 110 characters, the name, the contents, each padded to 4.
fn record(to: &mut dyn Write, inode: u32, path: &str, entry: &Entry) -> Result<()> {
    let links = if entry.mode & DIRECTORY == DIRECTORY {
        2
    } else {
        1
    };
    let size = u32::try_from(entry.contents.len())
        .with_context(|| format!("{path} is too large for an initramfs"))?;
    let name_size = u32::try_from(path.len() + 1)?;
    let mut header = String::from("070701");
    // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor
    // rdevminor namesize check
    for field in [
        inode, entry.mode, 0, 0, links, 0, size, 0, 0, 0, 0, name_size, 0,
    ] {
        header.push_str(&format!("{field:08X}"));
    }
    header.push_str(path);
    header.push('\0');
    pad(to, header.as_bytes())?;
    pad(to, &entry.contents)
}

fn pad(to: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    let zeros = [0; 3];
    to.write_all(bytes)?;
    to.write_all(&zeros[..bytes.len().next_multiple_of(4) - bytes.len()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn parents_come_first_and_everything_is_aligned() {
        let mut tree = Tree::default();
        tree.file("a/b/file", 0o644, "12345");
        let archive = tree.to_bytes().unwrap();
        assert_eq!(archive.len() % 4, 0);
        let text = String::from_utf8_lossy(&archive);
        let at = |needle: &str| text.find(needle).unwrap();
        assert!(at("a\0") < at("a/b\0") && at("a/b\0") < at("a/b/file\0"));
        assert!(text.contains("TRAILER!!!"));
    }

    /// busybox judges the format where it is installed.
    #[test]
    fn another_cpio_reads_it() {
        let mut tree = Tree::default();
        tree.file("folder/file", 0o600, "contents");
        tree.link("folder/link", "file");
        let started = Command::new("busybox")
            .args(["cpio", "-t"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut busybox) = started else { return };
        busybox
            .stdin
            .take()
            .unwrap()
            .write_all(&tree.to_bytes().unwrap())
            .unwrap();
        let listed = busybox.wait_with_output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&listed.stdout),
            "folder\nfolder/file\nfolder/link\n"
        );
    }
}
