// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a package's name to an unpacked kernel.
//!
//! All work happens in a folder beside the final one, which is renamed into
//! place when it is complete: an interrupted download leaves nothing that a
//! later run could take for a kernel.

use super::Kernel;
use crate::arch::Arch;
use crate::command::stdout_of;
use crate::debian::{Apt, Suite, alone, unpack};
use crate::paths::Paths;
use crate::terminal::remark;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{self, Command};

/// The unpacked kernel of a package; downloads it if the cache has none, or if
/// `refresh` asks for what the mirror has today.
pub(crate) fn fetch(paths: &Paths, arch: Arch, package: &str, refresh: bool) -> Result<Kernel> {
    check_name(arch, package)?;
    let kernels = paths.cache.join("kernels");
    let known = kernels.join("by-package").join(entry(arch, package));
    if !refresh
        && let Ok(release) = fs::read_to_string(&known)
        && let Some(kernel) = complete(&kernels, arch, release.trim())
    {
        return Ok(kernel);
    }
    let _alone = alone(&kernels)?;
    remark(&format!("looking up the kernel package {package}"));
    let (apt, image) = resolve(&paths.cache, arch, package)?;
    let release = release_of(&image)?;
    let kernel = match complete(&kernels, arch, &release) {
        Some(kernel) => kernel,
        None => lay_out(&kernels, arch, &apt, &image, &release)?,
    };
    fs::create_dir_all(kernels.join("by-package"))?;
    write_whole(&known, &release)?;
    Ok(kernel)
}

/// The package as the cache files it: `backports` is one per instruction set,
/// other names say for themselves.
fn entry(arch: Arch, package: &str) -> String {
    if package == "backports" && arch != Arch::X86_64 {
        return format!("{package}-{}", arch.debian());
    }
    package.to_owned()
}

/// Whether this package was once resolved to a release.
#[cfg(test)]
pub(crate) fn is_known(paths: &Paths, arch: Arch, package: &str) -> bool {
    let known = paths.cache.join("kernels/by-package");
    known.join(entry(arch, package)).is_file()
}

pub(crate) fn check_name(arch: Arch, package: &str) -> Result<()> {
    if package != "backports" && !package.starts_with("linux-image-") {
        bail!(
            "'{package}' is no kernel package: expected 'backports' or a name like {}",
            arch.kernel()
        );
    }
    let parts = || package.split('-');
    if let Some(other) = ["amd64", "arm64"]
        .into_iter()
        .find(|name| *name != arch.debian() && parts().any(|part| part == *name))
    {
        bail!(
            "package '{package}' is for {other}, and ARCH={arch} wants one for {}, like {}",
            arch.debian(),
            arch.kernel()
        );
    }
    Ok(())
}

/// Finds the suite that has the package and the real package behind it.
fn resolve(cache: &Path, arch: Arch, package: &str) -> Result<(Apt, String)> {
    let (suites, name) = match package {
        "backports" => (vec![Suite::Backports], arch.kernel().to_owned()),
        other => (vec![Suite::Release, Suite::Backports], other.to_owned()),
    };
    for suite in suites {
        let apt = Apt::new(cache, suite, arch)?;
        let Some(full) = apt.find(&name)? else {
            continue;
        };
        // A meta package depends on the real one; the real one on no image.
        let (mut name, mut full) = (name, full);
        while let Some(next) = apt
            .depends(&full)?
            .into_iter()
            .find(|dependency| dependency.starts_with("linux-image-"))
        {
            full = found(&apt, &next)?;
            name = next;
        }
        return Ok((apt, name));
    }
    bail!(
        "neither this release of Debian nor its backports have a package '{package}': see 'apt-cache search linux-image'"
    )
}

/// A package that another one names, with its full name.
fn found(apt: &Apt, package: &str) -> Result<String> {
    apt.find(package)?
        .with_context(|| format!("the mirror names the package '{package}', but does not have it"))
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
fn complete(kernels: &Path, arch: Arch, release: &str) -> Option<Kernel> {
    let folder = kernels.join(release);
    let stamp = fs::read_to_string(folder.join("complete")).ok()?;
    (stamp.trim() == folder.to_string_lossy()).then(|| Kernel::at(release, arch, &folder))
}

fn lay_out(kernels: &Path, arch: Arch, apt: &Apt, image: &str, release: &str) -> Result<Kernel> {
    let packages = packages_of(apt, image, release)?;
    remark(&format!(
        "downloading {} (unpacked in the cache, not installed)",
        packages.join(" ")
    ));
    let folder = kernels.join(release);
    let new = kernels.join(format!(".{release}.{}", process::id()));
    let root = new.join("root");
    unpack(apt, &packages, &root)?;
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
    complete(kernels, arch, release).context("the kernel that was just unpacked is not complete")
}

/// The image, and what its modules' build needs, found through Depends.
fn packages_of(apt: &Apt, image: &str, release: &str) -> Result<Vec<String>> {
    let image = found(apt, image)?;
    let name = format!("linux-headers-{release}");
    let Some(headers) = apt.find(&name)? else {
        bail!("the mirror has {image} but not {name}: modules cannot be built for it");
    };
    let mut packages = vec![image.clone()];
    for (package, prefixes) in [
        (image, ["linux-modules-", "linux-binary-"]),
        (headers.clone(), ["linux-headers-", "linux-kbuild-"]),
    ] {
        for dependency in apt.depends(&package)? {
            if !prefixes.iter().any(|prefix| dependency.starts_with(prefix)) {
                continue;
            }
            let dependency = found(apt, &dependency)?;
            if !packages.contains(&dependency) {
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
        assert!(check_name(Arch::X86_64, "backports").is_ok());
        assert!(check_name(Arch::X86_64, "coreutils").is_err());
        assert!(check_name(Arch::Aarch64, "linux-image-arm64").is_ok());
        let refused = check_name(Arch::Aarch64, "linux-image-rt-amd64").unwrap_err();
        assert!(refused.to_string().contains("for arm64"));
        assert!(check_name(Arch::X86_64, "linux-image-6.1.0-56-arm64").is_err());
    }
}
