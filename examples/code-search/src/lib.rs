//! Semantic search over source trees: splits files into passages, keeps their embeddings in an index, and ranks them by cosine.

pub mod index;
pub mod passages;
pub mod rank;
pub mod walk;
