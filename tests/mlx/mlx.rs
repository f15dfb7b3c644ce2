//! MLX alone: how the library is found and loaded, devices and memory, threads, and each operation of the list in ops.rs.

mod devices;
mod indices;
mod leaks;
mod library_loading;
mod native_switch;
mod operations;
mod threads;
