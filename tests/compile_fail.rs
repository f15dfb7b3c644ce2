//! What the macros and the guards refuse, and how they say it: one error for one mistake, at the user's own token.

#[test]
fn compile_fail() {
    trybuild::TestCases::new().compile_fail("ui/*.rs");
}
