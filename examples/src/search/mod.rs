//! Semantic search over source trees: files, cut into passages, kept as vectors in an index, ranked by cosine.

pub mod index;
pub mod passages;
pub mod rank;
pub mod walk;
