// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board's device tree, changed where QEMU's model of the board is less than
//! the board.
//!
//! Real boards get Debian's device tree as it is. QEMU's models lack devices,
//! and firmware that hands out clocks; a board's `[qemu.device_tree]` says what
//! to change in the copy that the model gets. A rule that names a node that is
//! not there is an error: a newer kernel's tree may have been moved about, and a
//! rule that silently did nothing would show as a guest that hangs.

mod edit;
mod flatten;

pub(crate) use edit::Rules;

use anyhow::{Context, Result, anyhow};
use fdt::Fdt;
use fdt::node::FdtNode;

/// A whole tree, in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceTree {
    root: Node,
    reserved: Vec<(u64, u64)>,
}

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    name: String,
    properties: Vec<(String, Vec<u8>)>,
    children: Vec<Node>,
}

impl DeviceTree {
    /// Reads a flattened tree (a `.dtb` file).
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let tree = Fdt::new(bytes).map_err(|error| anyhow!("this is no device tree: {error:?}"))?;
        let root = tree.find_node("/").context("a device tree without root")?;
        let reserved = tree
            .memory_reservations()
            .map(|entry| (entry.address() as u64, entry.size() as u64))
            .collect();
        Ok(Self {
            root: Node::read(String::new(), root),
            reserved,
        })
    }

    /// Flattens it again.
    pub(crate) fn flatten(&self) -> Result<Vec<u8>> {
        flatten::flatten(&self.root, &self.reserved)
    }

    /// The node at a path like `/soc/serial@7e201000`.
    fn find(&mut self, path: &str) -> Result<&mut Node> {
        let mut node = &mut self.root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let known: Vec<String> = node
                .children
                .iter()
                .map(|child| child.name.clone())
                .collect();
            node = node.child(name).with_context(|| {
                format!(
                    "the device tree has no node {path}: there is no '{name}', only {}",
                    known.join(", ")
                )
            })?;
        }
        Ok(node)
    }
}

impl Node {
    fn read(name: String, node: FdtNode<'_, '_>) -> Self {
        Self {
            name,
            properties: node
                .properties()
                .map(|property| (property.name.to_owned(), property.value.to_vec()))
                .collect(),
            children: node
                .children()
                .map(|child| Self::read(child.name.to_owned(), child))
                .collect(),
        }
    }

    fn child(&mut self, name: &str) -> Option<&mut Node> {
        self.children.iter_mut().find(|child| child.name == name)
    }

    fn get(&self, name: &str) -> Option<&[u8]> {
        self.properties
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_slice())
    }

    fn set(&mut self, name: &str, value: Vec<u8>) {
        match self.properties.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.properties.push((name.to_owned(), value)),
        }
    }

    fn drop_property(&mut self, name: &str) {
        self.properties.retain(|(known, _)| known != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn sample() -> DeviceTree {
        let node = |name: &str, properties: &[(&str, &[u8])], children: Vec<Node>| Node {
            name: name.to_owned(),
            properties: properties
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
                .collect(),
            children,
        };
        DeviceTree {
            root: node(
                "",
                &[("model", b"sample\0")],
                vec![
                    node("clock", &[("phandle", &[0, 0, 0, 7])], vec![]),
                    node(
                        "soc",
                        &[("#address-cells", &[0, 0, 0, 1])],
                        vec![
                            node(
                                "serial@10",
                                &[("status", b"okay\0"), ("power-domains", &[0, 0, 0, 1])],
                                vec![node("bluetooth", &[], vec![])],
                            ),
                            node("i2c@20", &[], vec![]),
                        ],
                    ),
                ],
            ),
            reserved: vec![(0, 0x1000)],
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tree = sample();
        let bytes = tree.flatten().unwrap();
        assert_eq!(DeviceTree::parse(&bytes).unwrap(), tree);
        assert!(DeviceTree::parse(b"no tree").is_err());
    }

    #[test]
    fn a_path_that_leads_nowhere_says_where_it_ends() {
        let mut tree = sample();
        assert!(tree.find("/soc/serial@10/bluetooth").is_ok());
        let refused = tree.find("/soc/spi@30").unwrap_err().to_string();
        assert!(refused.contains("'spi@30'") && refused.contains("i2c@20"));
    }
}
