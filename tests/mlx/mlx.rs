//! MLX alone: how the library is found and loaded, threads, and each operation of the list in ops.rs.

mod corrections;
mod indices;
mod leaks;
mod library_loading;
mod moves;
mod native_switch;
mod normalized_sums;
mod operations;
mod scope_memory;
mod sharing;
mod threads;
