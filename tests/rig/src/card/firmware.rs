// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of others that a board's medium needs and Debian's main archive lacks.
//! They come from a folder that the user names, and are not looked for elsewhere.

use super::medium::File;
use crate::boot::Board;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// The files in the folder, and the names of those that are not there.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The files.
    pub(crate) files: Vec<File>,
    /// Without these the board does not boot from the medium.
    pub(crate) needed: Vec<String>,
    /// Without these it may not.
    pub(crate) wanted: Vec<String>,
}

/// Looks into the folder, if one was named. A folder that lacks what the board
/// needs is an error: whoever names one expects a medium that boots.
pub(crate) fn look(board: &Board, folder: Option<&Path>) -> Result<Found> {
    let list = &board.firmware;
    let Some(folder) = folder else {
        return Ok(Found {
            files: Vec::new(),
            needed: list.needed.clone(),
            wanted: list.wanted.clone(),
        });
    };
    let present = |name: &&String| folder.join(name).is_file();
    let missing = |names: &[String]| -> Vec<String> {
        names
            .iter()
            .filter(|name| !present(name))
            .cloned()
            .collect()
    };
    let needed = missing(&list.needed);
    if !needed.is_empty() {
        bail!(
            "FIRMWARE={} lacks {}, which {} needs to boot: {}",
            folder.display(),
            needed.join(", "),
            board.what,
            list.r#where
        );
    }
    let wanted = missing(&list.wanted);
    let mut files = Vec::new();
    for name in list.needed.iter().chain(&list.wanted).filter(present) {
        let path = folder.join(name);
        let contents = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        files.push(File::new(name, contents));
    }
    if files.is_empty() {
        bail!(
            "FIRMWARE={} has none of the files of {}; looked for {}",
            folder.display(),
            board.what,
            list.needed
                .iter()
                .chain(&list.wanted)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    Ok(Found {
        files,
        needed,
        wanted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot;
    use crate::paths::Paths;

    #[test]
    fn a_folder_must_have_all_that_is_needed() {
        let paths = Paths::find().unwrap();
        let folder = std::env::temp_dir().join(format!("mercury-firmware-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let board = boot::named(&paths, "raspi3b").unwrap();
        assert_eq!(look(&board, None).unwrap().needed, board.firmware.needed);
        fs::write(folder.join("bootcode.bin"), "x").unwrap();
        let refused = look(&board, Some(&folder)).unwrap_err().to_string();
        assert!(refused.contains("start.elf") && refused.contains("raspi-firmware"));
        assert!(!refused.contains("bootcode.bin,"), "{refused}");
        for name in ["start.elf", "fixup.dat"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        assert_eq!(look(&board, Some(&folder)).unwrap().files.len(), 3);
        let zcu102 = boot::named(&paths, "zcu102").unwrap();
        let refused = look(&zcu102, Some(&folder)).unwrap_err().to_string();
        assert!(refused.contains("BOOT.BIN"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
