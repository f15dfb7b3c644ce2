//! The dynamic loader: which libraries are in the process, and whether there are new ones.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "macos")), path = "unsupported.rs")]
mod system;

#[cfg(any(target_os = "linux", target_os = "macos"))]
mod symbols;

pub use system::{WHY_NOT, find, watch};

/// Returns whether `path` is the library of libtorch that has the switch. Repaired wheels contain `libc10-1a2b3c4d.so`;
/// `libc10_cuda.so` is another library.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn is_libc10(path: &std::ffi::CStr) -> bool {
    let file = path.to_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    file.strip_prefix(b"libc10").is_some_and(|rest| rest.starts_with(b".") || rest.starts_with(b"-"))
}
