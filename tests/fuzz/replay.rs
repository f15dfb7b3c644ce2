//! Runs the targets of the fuzzers on each seed, and on each case that once failed.

use std::fs;
use std::path::Path;

use grad_fuzz as fuzz;

/// Runs a target on the cases in its folders. The last case printed is the one that failed.
fn replay(name: &str, target: fn(&[u8])) {
    let mut cases = 0;
    for folder in ["seeds", "found"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
        // There need be no case that failed.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("the folder can be read").path();
            println!("{}", path.display());
            target(&fs::read(&path).expect("a case can be read"));
            cases += 1;
        }
    }
    assert!(cases > 0, "{name} has no seeds");
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
