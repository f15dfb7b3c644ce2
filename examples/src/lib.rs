//! Modules of the example programs: a sentence embedding model that is generic over the backend, semantic search with it,
//! and a small autograd engine that obeys scopes.
//!
//! | module | purpose |
//! |---|---|
//! | [`model_files`] | finds all-MiniLM-L6-v2 or fetches it once, and verifies it |
//! | [`tokenize`] | converts text to token ids |
//! | [`minilm`] | the model, generic over [`Array`](grad_runtime::Array) |
//! | [`embedder`] | computes embeddings of texts, on a chosen backend |
//! | [`search`] | splits files into passages, indexes their embeddings and ranks them |
//! | [`tape`] | a small autograd engine, and a backend for it |

pub mod embedder;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod minilm;
pub mod model_files;
pub mod search;
pub mod tape;
pub mod tokenize;
