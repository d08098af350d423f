//! Rules that are read off the sources: lints, `no_std`, who touches the disk, who reads a clock.
//!
//! They look at product code only, line by line and without comments: a rule that needs a parser would be a lint.

use std::path::{Path, PathBuf};

use super::metadata::{Package, Workspace};
use super::{Layer, NO_STD, layer};
use crate::shell::{Failure, Outcome};

/// Crates that may name the file system: the store and the log segments; the CA's key files; the CLI's own output.
const DISK: [&str; 5] = ["store", "logs", "pki", "eyot", "bench"];

/// What naming the file system looks like.
const DISK_WORDS: [&str; 3] = ["std::fs", "File::", "OpenOptions"];

/// What reading a clock or a random source looks like.
const CLOCK_WORDS: [&str; 6] = ["Instant::now", "SystemTime", "UtcNow", "now_utc", "getrandom", "rand::"];

/// Who may name AWS's errors: the API itself, the CLI, which is a client of it, and the batch format of
/// `eyot sql eval`, whose result lines carry the code.
const AWS_ERRORS: [&str; 4] = ["aws-api/", "aws-model/", "eyot/", "iot-sql/src/batch.rs"];

/// All breaches of the rules about sources.
pub(crate) fn check(workspace: &Workspace) -> Outcome<Vec<String>> {
    let mut breaches = Vec::new();
    for package in &workspace.packages {
        let manifest = read(&package.manifest_path)?;
        if !inherits_lints(&manifest) {
            breaches.push(format!(
                "`{}` does not inherit the workspace's lints (unsafe_code = forbid)",
                package.name
            ));
        }
    }
    for package in workspace.crates() {
        breaches.extend(check_crate(package)?);
    }
    Ok(breaches)
}

fn check_crate(package: &Package) -> Outcome<Vec<String>> {
    let mut breaches = Vec::new();
    let name = package.name.as_str();
    let sources = package.directory().join("src");
    if NO_STD.contains(&name) && !read(&sources.join("lib.rs"))?.contains("no_std") {
        breaches.push(format!("`{name}` is shared with the firmware but is not no_std"));
    }
    for path in rust_files(&sources)? {
        let text = read(&path)?;
        let inside = path.strip_prefix(package.directory()).unwrap_or(&path);
        let place = format!("{name}/{}", inside.display());
        for (number, line) in product_lines(&text) {
            let mut breach = |what: &str| {
                breaches.push(format!("{place}:{number}: {what}: {}", line.trim()));
            };
            if !DISK.contains(&name) && names(line, &DISK_WORDS) {
                breach("only store and logs touch the disk");
            }
            if layer(name) == Some(Layer::Pure) && names(line, &CLOCK_WORDS) {
                breach("pure crates read no clock and no random source");
            }
            if !AWS_ERRORS.iter().any(|prefix| place.starts_with(prefix)) && names_aws_error(line) {
                breach("only aws-api knows AWS's error names");
            }
        }
    }
    Ok(breaches)
}

fn inherits_lints(manifest: &str) -> bool {
    let after = manifest.split_once("[lints]").map_or("", |(_, after)| after);
    after.trim_start().starts_with("workspace = true")
}

fn names(line: &str, words: &[&str]) -> bool {
    words.iter().any(|word| line.contains(word))
}

/// A string literal such as `"ResourceNotFoundException"`.
fn names_aws_error(line: &str) -> bool {
    line.split('"').skip(1).step_by(2).any(|literal| {
        literal
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| word.len() > 9 && word.ends_with("Exception"))
    })
}

/// Lines with their numbers, without comments, and without the test module that closes a file.
fn product_lines(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut product = Vec::new();
    let mut index = 0;
    while index < lines.len() {
        let line = lines[index];
        if line.trim() == "#[cfg(test)]" {
            let next = lines.get(index + 1).map_or("", |line| line.trim());
            if next.contains("mod ") && next.ends_with('{') {
                break; // house style: the test module comes last
            }
            index += 2; // `mod tests;` or one item that only tests see
            continue;
        }
        let code = line.split_once("//").map_or(line, |(code, _)| code);
        product.push((index + 1, code));
        index += 1;
    }
    product
}

/// The crate's `.rs` files, but those that hold tests alone.
fn rust_files(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(directory)
        .map_err(|error| Failure::new(format!("cannot list `{}`: {error}", directory.display())))?;
    for entry in entries {
        let path = entry.map_err(|error| Failure::new(error.to_string()))?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if stem == "tests" || stem.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read `{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_test_modules_are_no_product_code() {
        let text =
            "use a; // std::fs\n#[cfg(test)]\nmod tests;\nfn f() {}\n#[cfg(test)]\nmod more {\n std::fs\n}\n";
        let lines = product_lines(text);
        assert_eq!(lines, [(1, "use a; "), (4, "fn f() {}")]);
    }

    #[test]
    fn an_aws_error_counts_in_a_literal_only() {
        assert!(names_aws_error(r#"code: "SqlParseException","#));
        assert!(names_aws_error(r#"format!("ResourceNotFoundException: {x}")"#));
        assert!(!names_aws_error("enum SqlParseException {}"));
        assert!(!names_aws_error(r#""Exception""#));
    }

    #[test]
    fn lints_must_be_inherited() {
        assert!(inherits_lints("[package]\n\n[lints]\nworkspace = true\n"));
        assert!(!inherits_lints("[package]\n[lints.rust]\nunsafe_code = \"warn\"\n"));
    }
}
