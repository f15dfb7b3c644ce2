//! Devices, and the memory of arrays.

use std::fmt;

use grad_mlx_sys as sys;

use super::ffi;
use crate::error::{Error, Result};
use grad_core::Unavailable;

/// A device that MLX computes on.
///
/// ```
/// use grad_runtime::mlx::{self, Device};
///
/// let device = if Device::Gpu.is_available()? { Device::Gpu } else { Device::Cpu };
/// mlx::set_default_device(device)?;
/// assert_eq!(mlx::default_device()?.to_string(), device.to_string());
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// The CPU.
    Cpu,
    /// The GPU: Metal on macOS, CUDA on Linux with the package `mlx-cuda-13`.
    Gpu,
}

impl Device {
    /// Returns whether the loaded MLX has this device.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if MLX cannot be loaded.
    ///
    /// ```
    /// use grad_runtime::mlx::Device;
    ///
    /// assert!(Device::Cpu.is_available()?);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn is_available(self) -> Result<bool> {
        ffi::is_available(self.into())
    }

    /// Returns the error that MLX does not have this device.
    pub(super) fn missing(self) -> Error {
        let reason = format!("this MLX has no {self}; ask `Device::is_available` first");
        Error::Unavailable(Unavailable { backend: "mlx", reason })
    }
}

impl From<Device> for sys::Device {
    fn from(device: Device) -> Self {
        match device {
            Device::Cpu => Self::Cpu,
            Device::Gpu => Self::Gpu,
        }
    }
}

impl From<sys::Device> for Device {
    fn from(device: sys::Device) -> Self {
        match device {
            sys::Device::Cpu => Self::Cpu,
            sys::Device::Gpu => Self::Gpu,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        })
    }
}

/// Returns the device that new operations run on: the GPU if there is one, unless [`set_default_device`] was called.
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
    ffi::default_device().map(Into::into)
}

/// Sets the device that new operations run on, for the whole process.
///
/// # Errors
///
/// [`Error::Unavailable`] if MLX cannot be loaded or does not have the device.
///
/// ```
/// use grad_runtime::mlx::{self, Device};
///
/// mlx::set_default_device(Device::Cpu)?;
/// assert_eq!(mlx::default_device()?, Device::Cpu);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn set_default_device(device: Device) -> Result<()> {
    if !device.is_available()? {
        return Err(device.missing());
    }
    ffi::set_default_device(device.into())?
        .map_err(|reason| Error::Unavailable(Unavailable { backend: "mlx", reason }))
}

/// Returns the bytes that arrays occupy.
///
/// # Errors
///
/// [`Error::Unavailable`] if MLX cannot be loaded.
///
/// ```
/// use grad_runtime::Dtype;
/// use grad_runtime::mlx::{self, Array};
///
/// let ones = Array::ones(&[1024], Dtype::Float32)?;
/// ones.eval()?;
/// assert!(mlx::active_memory()? >= 4096);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn active_memory() -> Result<usize> {
    ffi::active_memory()
}

/// Returns the most bytes that arrays occupied at once, since the process started or [`reset_peak_memory`] was called.
///
/// # Errors
///
/// [`Error::Unavailable`] if MLX cannot be loaded.
///
/// ```
/// use grad_runtime::mlx;
///
/// assert!(mlx::peak_memory()? >= mlx::active_memory()?);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn peak_memory() -> Result<usize> {
    ffi::peak_memory()
}

/// Resets [`peak_memory`].
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
    ffi::reset_peak_memory()?.map_err(|reason| Error::Unavailable(Unavailable { backend: "mlx", reason }))
}
