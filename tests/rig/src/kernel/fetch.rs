// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a package's name to an unpacked kernel.
//!
//! All work happens in a folder beside the final one, which is renamed into
//! place when it is complete: an interrupted download leaves nothing that a
//! later run could take for a kernel.

use super::Kernel;
use super::apt::{Apt, Suite};
use crate::command::stdout_of;
use crate::paths::Paths;
use crate::terminal::remark;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::Path;
use std::process::{self, Command};

/// The unpacked kernel of a package; downloads it if the cache has none, or if
/// `refresh` asks for what the mirror has today.
pub(crate) fn fetch(paths: &Paths, package: &str, refresh: bool) -> Result<Kernel> {
    let kernels = paths.cache.join("kernels");
    let known = kernels.join("by-package").join(package);
    if !refresh
        && let Ok(release) = fs::read_to_string(&known)
        && let Some(kernel) = complete(&kernels, release.trim())
    {
        return Ok(kernel);
    }
    check_name(package)?;
    let _alone = alone(&kernels)?;
    remark(&format!("looking up the kernel package {package}"));
    let (apt, image) = resolve(&paths.cache, package)?;
    let release = release_of(&image)?;
    let kernel = match complete(&kernels, &release) {
        Some(kernel) => kernel,
        None => unpack(&kernels, &apt, &image, &release)?,
    };
    fs::create_dir_all(kernels.join("by-package"))?;
    write_whole(&known, &release)?;
    Ok(kernel)
}

/// Waits until no other rig fetches, and clears away what interrupted ones left.
fn alone(kernels: &Path) -> Result<File> {
    fs::create_dir_all(kernels).with_context(|| format!("making {}", kernels.display()))?;
    let path = kernels.join(".lock");
    let lock = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    lock.lock()
        .with_context(|| format!("locking {}", path.display()))?;
    for entry in fs::read_dir(kernels)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with('.') && entry.path().is_dir() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(lock)
}

fn check_name(package: &str) -> Result<()> {
    if package != "backports" && !package.starts_with("linux-image-") {
        bail!(
            "'{package}' is no kernel package: expected 'backports' or a name like linux-image-amd64"
        );
    }
    Ok(())
}

/// Finds the suite that has the package and the real package behind it.
fn resolve(cache: &Path, package: &str) -> Result<(Apt, String)> {
    let (suites, mut name) = match package {
        "backports" => (vec![Suite::Backports], super::DEFAULT.to_owned()),
        other => (vec![Suite::Release, Suite::Backports], other.to_owned()),
    };
    for suite in suites {
        let apt = Apt::new(cache, suite)?;
        if !apt.has(&name)? {
            continue;
        }
        // A meta package depends on the real one; the real one on no image.
        while let Some(next) = apt
            .depends(&name)?
            .into_iter()
            .find(|dependency| dependency.starts_with("linux-image-"))
        {
            name = next;
        }
        return Ok((apt, name));
    }
    bail!(
        "neither this release of Debian nor its backports have a package '{package}': see 'apt-cache search linux-image'"
    )
}

/// `6.1.0-56-amd64` of `linux-image-6.1.0-56-amd64`.
fn release_of(image: &str) -> Result<String> {
    let release = image
        .trim_start_matches("linux-image-")
        .trim_end_matches("-unsigned");
    if !release.starts_with(|first: char| first.is_ascii_digit()) {
        bail!("package '{image}' names no kernel release, and depends on no package that does");
    }
    Ok(release.to_owned())
}

/// The kernel if its folder was completed, at this very place (the headers
/// hold absolute paths).
fn complete(kernels: &Path, release: &str) -> Option<Kernel> {
    let folder = kernels.join(release);
    let stamp = fs::read_to_string(folder.join("complete")).ok()?;
    (stamp.trim() == folder.to_string_lossy()).then(|| Kernel::at(release, &folder))
}

fn unpack(kernels: &Path, apt: &Apt, image: &str, release: &str) -> Result<Kernel> {
    let packages = packages_of(apt, image, release)?;
    remark(&format!(
        "downloading {} (unpacked in the cache, not installed)",
        packages.join(" ")
    ));
    let folder = kernels.join(release);
    let new = kernels.join(format!(".{release}.{}", process::id()));
    let root = new.join("root");
    fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
    for archive in apt.download(&packages, &new.join("archives"))? {
        stdout_of(Command::new("dpkg").arg("-x").arg(&archive).arg(&root))?;
    }
    fs::remove_dir_all(new.join("archives"))?;
    // Newer packages keep the modules under /usr; /lib is what all else expects.
    if !root.join("lib").exists() {
        std::os::unix::fs::symlink("usr/lib", root.join("lib"))
            .context("linking lib to usr/lib")?;
    }
    correct_headers(&root, &folder.join("root"))?;
    stdout_of(Command::new("depmod").arg("-b").arg(&root).arg(release))
        .context("making modules.dep")?;
    fs::write(new.join("complete"), folder.to_string_lossy().as_bytes())?;
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("removing the incomplete {}", folder.display()))?;
    }
    fs::rename(&new, &folder)
        .with_context(|| format!("moving the kernel to {}", folder.display()))?;
    complete(kernels, release).context("the kernel that was just unpacked is not complete")
}

/// The image, and what its modules' build needs, found through Depends.
fn packages_of(apt: &Apt, image: &str, release: &str) -> Result<Vec<String>> {
    let mut packages = vec![image.to_owned()];
    let headers = format!("linux-headers-{release}");
    if !apt.has(&headers)? {
        bail!("the mirror has {image} but not {headers}: modules cannot be built for it");
    }
    for (package, prefixes) in [
        (image.to_owned(), ["linux-modules-", "linux-binary-"]),
        (headers.clone(), ["linux-headers-", "linux-kbuild-"]),
    ] {
        for dependency in apt.depends(&package)? {
            if prefixes.iter().any(|prefix| dependency.starts_with(prefix))
                && !packages.contains(&dependency)
            {
                packages.push(dependency);
            }
        }
    }
    packages.push(headers);
    Ok(packages)
}

/// The headers' Makefiles include each other by absolute paths under /usr/src.
fn correct_headers(root: &Path, final_root: &Path) -> Result<()> {
    let sources = root.join("usr/src");
    for entry in fs::read_dir(&sources).with_context(|| format!("reading {}", sources.display()))? {
        let makefile = entry?.path().join("Makefile");
        let Ok(text) = fs::read_to_string(&makefile) else {
            continue;
        };
        let corrected = text.replace(
            "include /usr/src/",
            &format!("include {}/usr/src/", final_root.display()),
        );
        if corrected != text {
            fs::write(&makefile, corrected)
                .with_context(|| format!("writing {}", makefile.display()))?;
        }
    }
    Ok(())
}

/// Writes a small file so that a reader sees the old text or the new one.
fn write_whole(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension(format!("new{}", process::id()));
    fs::write(&new, text).with_context(|| format!("writing {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("moving {} into place", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_what_follows_linux_image() {
        assert_eq!(
            release_of("linux-image-6.1.0-56-amd64").unwrap(),
            "6.1.0-56-amd64"
        );
        assert_eq!(
            release_of("linux-image-6.1.0-56-cloud-amd64-unsigned").unwrap(),
            "6.1.0-56-cloud-amd64"
        );
        assert!(release_of("linux-image-amd64").is_err());
    }

    #[test]
    fn other_packages_are_refused_before_any_network() {
        assert!(check_name("backports").is_ok());
        assert!(check_name("coreutils").is_err());
    }
}
