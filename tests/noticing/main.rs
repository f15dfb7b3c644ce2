//! libtorch's switch in a process that has no libtorch: a small library exports the same two functions, and is loaded
//! in the ways that libtorch is. With the real one: `tests/torch`.
#![cfg(unix)]
#![allow(unsafe_code, reason = "libraries are loaded")]

mod library;
mod loading;
mod process;
mod switching;
