//! What is loaded into a process stays there, so each test has a process of its own.

use std::any::type_name;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set in the process of a test, to the test's name.
const ALONE: &str = "GRAD_TEST_ALONE";

/// Runs the test that calls this, `test`, in a new process.
pub fn alone<F: FnOnce()>(test: F) {
    if env::var_os(ALONE).is_some() {
        return test();
    }
    let name = name_of(&test);
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, name)
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{said}\n{complained}", output.status);
    assert!(said.contains("1 passed"), "{said}");
}

/// The path of the test function whose closure this is, without the crate.
fn name_of<F>(_test: &F) -> &'static str {
    let path = type_name::<F>().strip_suffix("::{{closure}}").unwrap();
    path.split_once("::").unwrap().1
}

/// A folder for the files of the test that this process runs.
pub fn folder() -> PathBuf {
    let name = env::var(ALONE).unwrap().replace("::", "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("noticing").join(name)
}
