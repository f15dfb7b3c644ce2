//! Guides: pages about one task each, with programs that run.

pub mod plugging_in;
