//! Modules that the example programs share: a sentence embedding model that is generic over the backend.
//!
//! | module | purpose |
//! |---|---|
//! | [`model_files`] | finds all-MiniLM-L6-v2 or fetches it once, and verifies it |
//! | [`tokenize`] | converts text to token ids |
//! | [`minilm`] | the model, generic over [`Array`](grad_runtime::Array) |
//! | [`embedder`] | computes embeddings of texts, on a chosen backend |
//! | [`exit`] | ends a program with its status |
//! | [`memory`] | reads how much memory this process uses |
//! | [`printable`] | displays text from outside without letting it control the terminal |

pub mod embedder;
pub mod exit;
pub mod memory;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod minilm;
pub mod model_files;
pub mod printable;
pub mod tokenize;

/// Compiles the code of the repository's README.
#[cfg(all(doctest, feature = "cpu"))]
#[doc = include_str!("../../README.md")]
struct Readme;
