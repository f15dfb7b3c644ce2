//! The documentation, checked against the sources: each guarantee has a test of its number, and examples compile together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of sources whose tests `cargo test --workspace` runs.
const SOURCES: [&str; 4] = ["tests", "examples", "grad-runtime", "grad-macros"];

/// Packages that are not members of the workspace.
const OTHER_WORKSPACES: [&str; 2] = ["tests/packages/burn", "tests/packages/torch"];

/// Returns the path of a file or folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is in the repository").join(path)
}

/// Returns the text of each Rust file in `folder`, by its path.
fn rust_files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.insert(path, text);
            }
        }
    }
    files
}

/// Returns the numbers of the list in the guide: lines such as `//! 3. An array …`.
fn guarantees() -> BTreeSet<u32> {
    let page = fs::read_to_string(repository("grad-runtime/src/guide/guarantees.rs")).unwrap();
    let number = |line: &str| line.strip_prefix("//! ")?.split_once(". ")?.0.parse().ok();
    page.lines().filter_map(number).collect()
}

/// Returns the numbers in the names of the tests in a file.
///
/// A function is a test if the attributes before it include `test`, or if it is generic in the backend, from which
/// `on_every_backend!` makes tests.
fn tested(text: &str) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    let mut has_test_attribute = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            has_test_attribute |= line == "#[test]" || line.starts_with("#[tokio::test");
        } else if let Some((_, name)) = line.split_once("fn guarantee_") {
            if has_test_attribute || name.contains("<A>()") {
                numbers.extend(name.split('_').next().and_then(|number| number.parse::<u32>().ok()));
            }
            has_test_attribute = false;
        } else if !line.starts_with("//") {
            has_test_attribute = false;
        }
    }
    numbers
}

#[test]
fn each_guarantee_has_a_test_of_its_number() {
    let listed = guarantees();
    assert_eq!(listed, (1..=16).collect(), "guarantees in the guide");
    let others = OTHER_WORKSPACES.map(repository);
    let mut tests: BTreeMap<u32, Vec<PathBuf>> = BTreeMap::new();
    for (path, text) in SOURCES.iter().flat_map(|folder| rust_files(&repository(folder))) {
        if !others.iter().any(|other| path.starts_with(other)) {
            for number in tested(&text) {
                tests.entry(number).or_default().push(path.clone());
            }
        }
    }
    let untested: Vec<_> = listed.iter().filter(|number| !tests.contains_key(number)).collect();
    assert!(untested.is_empty(), "no test is named after guarantees {untested:?}: name one `guarantee_N_…` each");
    tests.retain(|number, _| !listed.contains(number));
    assert!(tests.is_empty(), "tests are named after guarantees that the guide does not list: {tests:?}");
}

/// rustdoc compiles the examples of a crate as one program, unless one of them fails in it: then it compiles each alone, which
/// takes a minute instead of seconds. An example that loads macros from an `extern crate` does, so it must be marked.
#[test]
fn examples_compile_as_one_program() {
    let mut unmarked = Vec::new();
    for (path, text) in ["grad-runtime", "grad-macros"].iter().flat_map(|folder| rust_files(&repository(folder))) {
        let mut example = None;
        for (number, line) in text.lines().enumerate() {
            let Some(doc) = line.trim_start().strip_prefix("//!").or(line.trim_start().strip_prefix("///")) else {
                continue;
            };
            let doc = doc.trim();
            if let Some(attributes) = doc.strip_prefix("```") {
                example = example.is_none().then(|| attributes.to_owned());
            } else if doc.contains("#[macro_use]")
                && example.as_ref().is_some_and(|attributes| !attributes.contains("standalone_crate"))
            {
                unmarked.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(unmarked.is_empty(), "examples with `#[macro_use]`, to be marked ```standalone_crate: {unmarked:?}");
}

#[test]
fn helpers_are_not_tests() {
    assert_eq!(tested("#[test]\n// note\nfn guarantee_1_a() {"), BTreeSet::from([1]));
    assert_eq!(tested("    fn guarantee_12_a<A>() {"), BTreeSet::from([12]));
    assert_eq!(tested("#[tokio::test]\nasync fn guarantee_8_a() {"), BTreeSet::from([8]));
    assert_eq!(tested("fn guarantee_1_a() {}\n#[test]\nfn other() {}\nfn guarantee_2_a() {"), BTreeSet::new());
}
