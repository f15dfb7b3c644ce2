//! Where MLX computes, and how much memory it uses.

use std::fmt;

use super::ffi;
use crate::error::{Error, Result, Unavailable};

/// Where MLX computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// The CPU.
    Cpu = 0,
    /// The GPU: Metal on macOS, CUDA on Linux with the package `mlx-cuda-13`.
    Gpu = 1,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        })
    }
}

/// Whether the MLX that is loaded has this device.
///
/// # Errors
///
/// [`Error::Unavailable`] if MLX cannot be loaded.
///
/// ```
/// use grad_runtime::mlx::{self, Device};
///
/// assert!(mlx::is_available(Device::Cpu)?);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn is_available(device: Device) -> Result<bool> {
    ffi::is_available(device as i32)
}

/// The device that new operations run on: the GPU where there is one, unless [`set_default_device`] chose.
///
/// # Errors
///
/// [`Error::Unavailable`] if MLX cannot be loaded.
///
/// ```
/// use grad_runtime::{mlx, no_grad};
///
/// let before = mlx::default_device()?;
/// assert_eq!(no_grad!(mlx::default_device()?), before); // A scope leaves the device alone.
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn default_device() -> Result<Device> {
    Ok(match ffi::default_device()? {
        1 => Device::Gpu,
        _ => Device::Cpu,
    })
}

/// Chooses the device that new operations run on, for the whole process.
///
/// # Errors
///
/// [`Error::Unavailable`] if MLX cannot be loaded or has no such device.
///
/// ```
/// use grad_runtime::mlx::{self, Device};
///
/// mlx::set_default_device(Device::Cpu)?;
/// assert_eq!(mlx::default_device()?, Device::Cpu);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn set_default_device(device: Device) -> Result<()> {
    ffi::set_default_device(device as i32)?.map_err(|message| {
        let reason = format!("it has no {device} here ({message}): ask `mlx::is_available` first");
        Error::from(Unavailable { backend: "mlx", reason })
    })
}

/// The bytes that MLX's arrays occupy now.
///
/// # Errors
///
/// [`Error::Unavailable`] if MLX cannot be loaded.
///
/// ```
/// use grad_runtime::{Array, Dtype, mlx};
///
/// let ones = mlx::Array::ones(&[1024], Dtype::Float32)?;
/// ones.eval()?;
/// assert!(mlx::active_memory()? > 0);
/// assert!(mlx::peak_memory()? >= mlx::active_memory()?);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn active_memory() -> Result<usize> {
    ffi::active_memory()
}

/// The most bytes that MLX's arrays occupied at once, since the process began or [`reset_peak_memory`] was called.
///
/// # Errors
///
/// [`Error::Unavailable`] if MLX cannot be loaded.
///
/// See [`active_memory`] for an example.
pub fn peak_memory() -> Result<usize> {
    ffi::peak_memory()
}

/// Makes [`peak_memory`] count from now on.
///
/// # Errors
///
/// [`Error::Unavailable`] if MLX cannot be loaded.
///
/// ```
/// grad_runtime::mlx::reset_peak_memory()?;
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn reset_peak_memory() -> Result<()> {
    ffi::reset_peak_memory()?.map_err(|reason| Error::from(Unavailable { backend: "mlx", reason }))
}
