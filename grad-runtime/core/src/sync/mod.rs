//! What threads share, and what each has alone: std's types, or loom's where the unit tests explore interleavings of threads
//! (`interleavings`).
//!
//! loom's constructors are not const, and its statics start anew in each interleaving. So statics are defined in `shared!`, and a
//! constructor of one of them in `const_fn!`.

#[cfg_attr(all(test, loom), path = "with_loom.rs")]
#[cfg_attr(not(all(test, loom)), path = "with_std.rs")]
mod types;

pub(crate) use types::*;
