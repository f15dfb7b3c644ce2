//! The probe for libtorch's switch, in a process without libtorch: a small library exports the same two functions and is loaded
//! in the ways that libtorch is. On libtorch itself: packages/torch.
#![cfg(unix)]
#![allow(unsafe_code, reason = "libraries are loaded")]

mod detection;
mod fake_libtorch;
mod nesting;
mod process;
