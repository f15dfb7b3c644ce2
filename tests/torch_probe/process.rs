//! A process for each test, since a loaded library may stay for the life of its process.

use std::any::type_name;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::processes::run;

/// Set in the process of a test, to the name of the test.
const ALONE: &str = "GRAD_TEST_ALONE";

/// Runs `test`, the body of the test that calls this, in a new process.
pub fn alone<F: FnOnce()>(test: F) {
    if env::var_os(ALONE).is_some() {
        return test();
    }
    let name = name_of(&test);
    let mut process = Command::new(env::current_exe().unwrap());
    let stdout = run(process.args(["--exact", name, "--nocapture"]).env(ALONE, name));
    assert!(stdout.contains("1 passed"), "{stdout}");
}

/// Returns the path of the test function that defines the closure, without the crate.
fn name_of<F>(_test: &F) -> &'static str {
    let path = type_name::<F>().strip_suffix("::{{closure}}").unwrap();
    path.split_once("::").unwrap().1
}

/// Returns a folder for the files of the test that this process runs.
pub fn folder() -> PathBuf {
    let name = env::var(ALONE).unwrap().replace("::", "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("torch_probe").join(name)
}
