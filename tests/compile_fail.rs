//! What the macros and the guards refuse, and how they say it: one error for one mistake, at the user's own token.

use std::fs;
use std::path::Path;

#[test]
fn compile_fail() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*.rs");
    cases.compile_fail("ui/without/*.rs");
}

/// What `ui/without` holds, `ui` holds with the attribute: the same errors at the same places.
#[test]
fn errors_in_a_body_are_those_without_the_attribute() {
    let ui = Path::new("ui");
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut compared = 0;
    for entry in fs::read_dir(ui.join("without")).expect("a folder of cases") {
        let without = entry.expect("a case").path();
        let with = ui.join(without.file_name().expect("a file"));
        if without.extension().is_some_and(|extension| extension == "rs") {
            // The same program, but for the lines that are comments in the one.
            let commented: Vec<_> = read(&without).lines().map(|line| line.replace("// ", "")).collect();
            assert!(read(&with).lines().map(|line| line.replace("// ", "")).eq(commented), "{}", with.display());
        } else {
            assert_eq!(errors(&read(&with)), errors(&read(&without)), "{}", with.display());
            compared += 1;
        }
    }
    assert_eq!(compared, 16, "cases in ui/without");
}

/// The first line of each error, and the line and column where it is.
fn errors(stderr: &str) -> Vec<(&str, &str)> {
    let mut lines = stderr.lines();
    let mut errors = Vec::new();
    while let Some(error) = lines.find(|line| line.starts_with("error")) {
        let place = lines.find_map(|line| line.trim_start().strip_prefix("--> ")).expect("an error has a place");
        errors.push((error, place.split_once(':').expect("a place has a line").1));
    }
    errors
}
