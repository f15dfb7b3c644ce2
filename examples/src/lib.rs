//! The parts of the example programs: a sentence embedding model written once for every backend, and the search that
//! stands on it.
//!
//! | Room | Purpose |
//! |---|---|
//! | [`model_files`] | finds all-MiniLM-L6-v2, or fetches it once, and verifies it |
//! | [`tokenize`] | text to token numbers |
//! | [`minilm`] | the model, generic over [`Array`](grad_runtime::Array) |
//! | [`embedder`] | texts to vectors, on the backend that the user chose |
//! | [`search`] | files to passages to an index to the best hits |

pub mod embedder;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod minilm;
pub mod model_files;
pub mod search;
pub mod tokenize;
