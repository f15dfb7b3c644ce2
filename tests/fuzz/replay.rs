//! Runs the targets of the fuzzers on each seed, and on each case that once failed.

use std::fs;
use std::path::{Path, PathBuf};

use grad_fuzz as fuzz;

/// Returns the cases in a target's folders, with their paths.
fn cases(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut cases = Vec::new();
    for folder in ["seeds", "found"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
        // There need be no case that failed.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("the folder can be read").path();
            let case = fs::read(&path).expect("a case can be read");
            cases.push((path, case));
        }
    }
    assert!(!cases.is_empty(), "{name} has no seeds");
    cases
}

/// Runs a target on its cases. The last case printed is the one that failed.
fn replay(name: &str, target: fn(&[u8])) {
    for (path, case) in cases(name) {
        println!("{}", path.display());
        target(&case);
    }
}

macro_rules! replay {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target), fuzz::$target);
        })*
    };
}

replay!(arrays index_file macros mlx_arrays passages safetensors scopes);

/// Asserts that a target's cases notice each mistake planted in the reference, so that they would notice a backend that makes it.
fn assert_noticed(name: &str, unnoticed: fn(&[Vec<u8>]) -> Vec<String>) {
    let programs: Vec<_> = cases(name).into_iter().map(|(_, case)| case).collect();
    assert_eq!(unnoticed(&programs), [""; 0]);
}

#[test]
fn arrays_notice_mistakes() {
    assert_noticed("arrays", fuzz::unnoticed_mistakes);
}

#[test]
fn mlx_arrays_notice_mistakes() {
    assert_noticed("mlx_arrays", fuzz::mlx_unnoticed_mistakes);
}
