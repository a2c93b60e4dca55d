// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a C header means, asked of the C compiler.
//!
//! The names are taken from the header's text, so a new field, constant or
//! enumerator is a new fact without a change here; what they mean is what a
//! program prints that the compiler made of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// A fact's name, and its number.
pub type Facts = BTreeMap<String, u64>;

/// A file of the repository.
#[must_use]
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// A file of the kernel module.
#[must_use]
pub fn module(file: &str) -> PathBuf {
    repository("platform/linux/module").join(file)
}

/// The text of a file.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text of a C file without its comments.
///
/// # Panics
/// If a comment has no end.
#[must_use]
pub fn without_comments(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        result.push_str(before);
        rest = after.split_once("*/").expect("an open comment").1;
    }
    result + rest
}

/// Lines of C that print each fact of the header.
fn prints(header: &str) -> Vec<String> {
    let text = without_comments(header);
    let mut prints = Vec::new();
    let mut print = |name: &str, expression: &str| {
        prints.push(format!(
            "printf(\"%s=%llu\\n\", \"{name}\", (unsigned long long)({expression}));"
        ));
    };
    let mut rest = text.as_str();
    while let Some(at) = rest.find("struct mercury_") {
        rest = &rest[at + "struct ".len()..];
        let length = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap();
        let (name, after) = rest.split_at(length);
        rest = after;
        let Some(body) = after.trim_start().strip_prefix('{') else {
            continue;
        };
        let body = body.split_once('}').expect("an open structure").0;
        print(&format!("sizeof {name}"), &format!("sizeof(struct {name})"));
        for declaration in body
            .split(';')
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            let declarator = declaration.split('[').next().unwrap();
            let field = declarator.split_whitespace().last().unwrap();
            print(
                &format!("offsetof {name}.{field}"),
                &format!("offsetof(struct {name}, {field})"),
            );
            print(
                &format!("sizeof {name}.{field}"),
                &format!("sizeof(((struct {name} *)0)->{field})"),
            );
        }
    }
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            // A list in braces is no number: whoever needs it reads it.
            ["#define", _, "{", ..] => {}
            ["#define", name, _, ..] if name.starts_with("MERCURY_") => print(name, name),
            [name, "=", ..] if name.starts_with("MERCURY_") => print(name, name),
            _ => {}
        }
    }
    prints
}

/// What the C compiler makes of a header, called `file`, which may include
/// nothing but the kernel's own for programs. `directory` is for the compiler,
/// and no other test's.
///
/// # Panics
/// If the header does not compile without a warning.
#[must_use]
pub fn c_facts(directory: &Path, file: &str, header: &str) -> Facts {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join(file), header).unwrap();
    let source = directory.join("facts.c");
    let program = directory.join("facts");
    let body = prints(header).join("\n\t");
    std::fs::write(
        &source,
        format!(
            "#include <stddef.h>\n#include <stdio.h>\n#include \"{file}\"\n\
             int main(void)\n{{\n\t{body}\n\treturn 0;\n}}\n"
        ),
    )
    .unwrap();
    // -Wpadded: the header promises that all its padding is named.
    let compiled = Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Wpadded", "-Werror", "-o"])
        .args([&program, &source])
        .output()
        .expect("a C compiler named cc");
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let run = Command::new(&program).output().unwrap();
    assert!(run.status.success());
    String::from_utf8(run.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Every fact on which the two sides differ, or which only one of them has.
#[must_use]
pub fn disagreements(c: &Facts, rust: &Facts) -> Vec<String> {
    let mut names: Vec<&String> = c.keys().chain(rust.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| c.get(*name) != rust.get(*name))
        .map(|name| format!("{name}: C {:?}, Rust {:?}", c.get(name), rust.get(name)))
        .collect()
}

/// `HotplugFailed` as `HOTPLUG_FAILED`.
#[must_use]
pub fn upper_snake(name: &str) -> String {
    let mut result = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !result.is_empty() {
            result.push('_');
        }
        result.push(character.to_ascii_uppercase());
    }
    result
}
