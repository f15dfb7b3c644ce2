//! Training programs.
