// SPDX-License-Identifier: MIT OR Apache-2.0
//! The changes that a board's `[qemu.device_tree]` asks for.

use super::DeviceTree;
use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// What to change, in the order of these fields.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rules {
    /// Nodes that go, with all below them.
    remove: Vec<String>,
    /// Nodes that are switched off.
    disable: Vec<String>,
    /// Buses on which all but a few nodes are switched off.
    only: Vec<Only>,
    /// Devices that get other clocks.
    clocks: Vec<Clocks>,
}

/// One bus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Only {
    /// The bus.
    below: String,
    /// The nodes on it that stay as they are; `a|b` where kernels differ in the
    /// name.
    keep: Vec<String>,
}

/// Devices that get other clocks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Clocks {
    /// The devices.
    nodes: Vec<String>,
    /// What each one's `clocks` becomes: nodes of clocks without cells.
    clocks: Vec<String>,
    /// Properties that are taken away.
    #[serde(default)]
    drop: Vec<String>,
}

impl Rules {
    /// Changes the tree.
    pub(crate) fn apply(&self, tree: &mut DeviceTree) -> Result<()> {
        for path in &self.remove {
            remove(tree, path)?;
        }
        for path in &self.disable {
            disable(tree.find(path)?);
        }
        for only in &self.only {
            let bus = tree.find(&only.below)?;
            let mut kept = Vec::new();
            for names in &only.keep {
                let Some(name) = names.split('|').find(|name| bus.child(name).is_some()) else {
                    bail!("the device tree has no {names} below {}", only.below);
                };
                kept.push(name);
            }
            for child in &mut bus.children {
                if !kept.contains(&&*child.name) {
                    disable(child);
                }
            }
        }
        for change in &self.clocks {
            let mut cells = Vec::new();
            for clock in &change.clocks {
                let node = tree.find(clock)?;
                let Some(phandle) = node.get("phandle") else {
                    bail!("the device tree's {clock} has no phandle, so nothing can refer to it");
                };
                cells.extend(phandle);
            }
            for path in &change.nodes {
                let node = tree.find(path)?;
                node.set("clocks", cells.clone());
                for name in &change.drop {
                    node.drop_property(name);
                }
            }
        }
        Ok(())
    }
}

fn remove(tree: &mut DeviceTree, path: &str) -> Result<()> {
    tree.find(path)?;
    let (parent, name) = path
        .rsplit_once('/')
        .with_context(|| format!("'{path}' is no path of a device tree"))?;
    tree.find(parent)?
        .children
        .retain(|child| child.name != name);
    Ok(())
}

fn disable(node: &mut super::Node) {
    node.set("status", b"disabled\0".to_vec());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device_tree::tests::sample;

    fn changed(rules: &str) -> Result<DeviceTree> {
        let mut tree = sample();
        toml::from_str::<Rules>(rules).unwrap().apply(&mut tree)?;
        Ok(tree)
    }

    fn status(tree: &mut DeviceTree, path: &str) -> Option<Vec<u8>> {
        tree.find(path).unwrap().get("status").map(<[u8]>::to_vec)
    }

    #[test]
    fn a_node_goes_with_what_is_below() {
        let mut tree = changed("remove = [\"/soc/serial@10\"]").unwrap();
        assert!(tree.find("/soc/serial@10").is_err());
        assert!(tree.find("/soc/i2c@20").is_ok());
    }

    #[test]
    fn only_what_is_kept_stays_on() {
        let mut tree =
            changed("[[only]]\nbelow = \"/soc\"\nkeep = [\"uart@10|serial@10\"]").unwrap();
        assert_eq!(status(&mut tree, "/soc/serial@10").unwrap(), b"okay\0");
        assert_eq!(status(&mut tree, "/soc/i2c@20").unwrap(), b"disabled\0");
    }

    #[test]
    fn clocks_are_referred_to_by_their_phandles() {
        let rules = "[[clocks]]\nnodes = [\"/soc/serial@10\"]\nclocks = [\"/clock\", \"/clock\"]\ndrop = [\"power-domains\"]";
        let mut tree = changed(rules).unwrap();
        let serial = tree.find("/soc/serial@10").unwrap();
        assert_eq!(serial.get("clocks").unwrap(), [0, 0, 0, 7, 0, 0, 0, 7]);
        assert!(serial.get("power-domains").is_none());
    }

    #[test]
    fn rules_for_what_is_not_there_are_refused() {
        for rules in [
            "remove = [\"/soc/spi@30\"]",
            "disable = [\"/nowhere\"]",
            "[[only]]\nbelow = \"/soc\"\nkeep = [\"spi@30\"]",
            "[[clocks]]\nnodes = [\"/soc/i2c@20\"]\nclocks = [\"/soc\"]",
        ] {
            assert!(changed(rules).is_err(), "{rules}");
        }
    }
}
