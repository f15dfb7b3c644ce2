//! The targets of the fuzzers: each takes bytes, and panics where a guarantee does not hold.
//!
//! `../run` runs them under libFuzzer; `../replay.rs` runs them on each seed, and on each case that once failed.

// A procedural macro crate cannot be linked, so the modules of grad-macros are compiled here too.
#[path = "../../../grad-macros/src/derive/mod.rs"]
mod derive;
#[path = "../../../grad-macros/src/expand/mod.rs"]
mod expand;
#[path = "../../../grad-macros/src/parse/mod.rs"]
mod parse;
#[path = "../../../grad-macros/src/scope.rs"]
mod scope;
#[path = "../../../grad-macros/src/span.rs"]
mod span;
#[path = "../../../grad-macros/src/tokens.rs"]
mod tokens;
#[path = "../../../grad-macros/src/types.rs"]
mod types;
#[path = "../../../grad-macros/src/validate/mod.rs"]
mod validate;

// The generator of random programs, and their reference.
#[cfg(feature = "arrays")]
#[path = "../../random_programs/check.rs"]
mod check;
#[cfg(feature = "arrays")]
#[path = "../../random_programs/generate.rs"]
#[expect(dead_code, reason = "`function` is for the tests of the reference")]
mod generate;
#[cfg(feature = "arrays")]
#[path = "../../random_programs/mode_model.rs"]
mod mode_model;
#[cfg(feature = "arrays")]
#[path = "../../random_programs/numbers.rs"]
mod numbers;
#[cfg(feature = "arrays")]
#[path = "../../random_programs/program.rs"]
mod program;
#[cfg(feature = "arrays")]
#[path = "../../random_programs/reference.rs"]
#[expect(dead_code, reason = "the derivatives of `differentiate` are for the tests of the reference")]
mod reference;
#[cfg(feature = "arrays")]
#[path = "../../random_programs/reference_tensors.rs"]
mod reference_tensors;
#[cfg(feature = "arrays")]
#[path = "../../random_programs/run.rs"]
mod run;
#[cfg(feature = "arrays")]
#[path = "../../random_programs/shrink.rs"]
mod shrink;

// An embedder without a model.
#[cfg(feature = "code-search")]
#[path = "../../../examples/code-search/tests/support/letters.rs"]
mod letters;

#[cfg(feature = "arrays")]
mod arrays;
#[cfg(feature = "code-search")]
mod index_file;
mod macros;
#[cfg(feature = "code-search")]
mod passages;
#[cfg(feature = "arrays")]
mod safetensors;
#[cfg(feature = "arrays")]
mod scopes;
#[cfg(any(feature = "arrays", feature = "code-search"))]
mod scratch;
mod source;

#[cfg(feature = "arrays")]
pub use arrays::{arrays, mlx_arrays, mlx_unnoticed_mistakes, unnoticed_mistakes};
#[cfg(feature = "code-search")]
pub use index_file::index_file;
pub use macros::macros;
#[cfg(feature = "code-search")]
pub use passages::passages;
#[cfg(feature = "arrays")]
pub use safetensors::safetensors;
#[cfg(feature = "arrays")]
pub use scopes::scopes;
