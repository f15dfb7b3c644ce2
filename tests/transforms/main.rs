//! Laws 3, 5 and 6 on each of MLX's transforms and on their nestings.
//!
//! `nestings` and `scopes` are tables: a row is a program, a column a place for the scope, and each cell a test of its
//! own name with the expected value written out. The other modules tell what a table cannot: several outputs, functions
//! that fail, arrays that leave by side effect, and what is dropped when.
#![allow(clippy::float_cmp, reason = "small whole numbers, which are exact")]

mod compiled;
mod edges;
mod leaving;
mod memory;
mod nestings;
mod outputs;
mod own;
mod scopes;
mod transforms;
