//! Apple's MLX through a binding of our own: loaded at run time, so that one binary runs with MLX and without it.
mod array;
mod device;
#[allow(unsafe_code, reason = "this is the binding")]
mod ffi;
#[allow(unsafe_code, reason = "this is the binding")]
mod library;
mod transform;

pub use array::Array;
pub use device::{
    Device, active_memory, default_device, is_available, peak_memory, reset_peak_memory, set_default_device,
};

/// Behind [`Mlx::available`](crate::Mlx::available).
pub(crate) fn available() -> crate::Result<()> {
    library::api().map(|_| ())
}
