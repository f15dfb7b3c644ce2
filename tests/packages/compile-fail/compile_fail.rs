//! Programs that do not compile, and the errors that users see: one error for each mistake, at the user's own token.

use std::fs;
use std::path::Path;

#[test]
#[allow(unsafe_code, reason = "trybuild passes its environment on to Cargo")]
fn compile_fail() {
    // The cases need the types of feature `mlx`, not the library: without MLX the shim is not compiled again for them.
    // SAFETY: only Rust code, whose access is synchronized, reads the environment of this process.
    unsafe { std::env::set_var("MLX_DIR", "/nowhere") };
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*.rs");
    cases.compile_fail("ui/without/*.rs");
}

/// Guards across an `.await` and on another thread. That the programs have these errors is tested with the other cases.
#[test]
fn guarantee_9_guards_across_await_and_threads_do_not_compile() {
    for (case, error) in [
        ("await-in-block", "cannot use `.await` inside `no_grad!`"),
        ("guard-held-across-await-in-spawned-task", "has type `GradGuard` which is not `Send`"),
        ("guard-sent-to-thread", "required because it appears within the type `GradGuard`"),
    ] {
        let stderr = fs::read_to_string(format!("ui/{case}.stderr")).unwrap();
        assert!(!errors(&stderr).is_empty() && stderr.contains(error), "{case}: {stderr}");
    }
}

/// Each case in `ui/without` is in `ui` too, with the attribute, and its errors are at the same places.
#[test]
fn errors_in_a_body_are_those_without_the_attribute() {
    let ui = Path::new("ui");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut compared = 0;
    for entry in fs::read_dir(ui.join("without")).expect("the folder of cases") {
        let without = entry.expect("a case").path();
        let with = ui.join(without.file_name().expect("a file"));
        if without.extension().is_some_and(|extension| extension == "rs") {
            // The programs differ in lines that are comments in one of them.
            let commented: Vec<_> = read(&without).lines().map(|line| line.replace("// ", "")).collect();
            assert!(read(&with).lines().map(|line| line.replace("// ", "")).eq(commented), "{}", with.display());
        } else {
            assert_eq!(errors(&read(&with)), errors(&read(&without)), "{}", with.display());
            compared += 1;
        }
    }
    assert_eq!(compared, 18, "number of cases in ui/without");
}

/// Returns the first line of each error, with its line and column in the source.
fn errors(stderr: &str) -> Vec<(&str, &str)> {
    let mut lines = stderr.lines();
    let mut errors = Vec::new();
    while let Some(error) = lines.find(|line| line.starts_with("error")) {
        let place = lines.find_map(|line| line.trim_start().strip_prefix("--> ")).expect("an error has a location");
        errors.push((error, place.split_once(':').expect("a location has a line").1));
    }
    errors
}
