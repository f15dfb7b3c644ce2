//! Streams.

use std::marker::PhantomData;

use super::device::Device;
use super::{evaluation_error, ffi};
use crate::error::{Error, Result};
use grad_core::Unavailable;

fn unavailable(reason: String) -> Error {
    Unavailable { backend: "mlx", reason }.into()
}

/// A queue of a device. Operations of one stream are computed in order; different streams may compute at the same time.
///
/// MLX has streams for each thread, so a stream stays on its thread. It lives as long as the process.
///
/// ```
/// use grad_runtime::mlx::{self, Array, Stream};
/// use grad_runtime::{Dtype, no_grad};
///
/// let stream = Stream::new(mlx::default_device()?)?;
/// let ones = no_grad! { stream.scope(|| Array::ones(&[2], Dtype::Float32)?.exp())?? };
/// stream.synchronize()?;
/// assert_eq!(ones.to_vec::<f32>()?, [1.0_f32.exp(); 2]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    device: Device,
    index: i32,
    /// Neither Send nor Sync.
    _thread: PhantomData<*const ()>,
}

impl Stream {
    /// Creates a stream of this thread on `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if MLX cannot be loaded or does not have the device.
    ///
    /// ```
    /// use grad_runtime::mlx::{Device, Stream};
    ///
    /// assert_ne!(Stream::new(Device::Cpu)?, Stream::new(Device::Cpu)?);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn new(device: Device) -> Result<Self> {
        if !device.is_available()? {
            return Err(device.missing());
        }
        let index = ffi::new_stream(device.into())?.map_err(unavailable)?;
        Ok(Self { device, index, _thread: PhantomData })
    }

    /// Runs `f` with this as the stream of new operations on its device, and restores the previous one, however `f` ends. Only
    /// operations on the [default device](super::default_device) follow it.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if MLX refuses the stream.
    ///
    /// # Panics
    ///
    /// If `f` panics, with its payload.
    ///
    /// ```
    /// use grad_runtime::mlx::{self, Array, Stream};
    ///
    /// let stream = Stream::new(mlx::default_device()?)?;
    /// assert_eq!(stream.scope(|| Array::scalar(2.0_f32)?.square())??.item::<f32>()?, 4.0);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn scope<R>(&self, f: impl FnOnce() -> R) -> Result<R> {
        struct Restore(Device, i32);
        impl Drop for Restore {
            fn drop(&mut self) {
                // It was the default stream before, so MLX accepts it again.
                let _ = ffi::set_default_stream(self.0.into(), self.1);
            }
        }
        let previous = ffi::default_stream(self.device.into())?.map_err(unavailable)?;
        ffi::set_default_stream(self.device.into(), self.index)?.map_err(unavailable)?;
        let _restore = Restore(self.device, previous);
        Ok(f())
    }

    /// Blocks until everything that was given to this stream is computed.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if MLX refuses the stream.
    ///
    /// ```
    /// use grad_runtime::mlx::{self, Stream};
    ///
    /// Stream::new(mlx::default_device()?)?.synchronize()?;
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn synchronize(&self) -> Result<()> {
        ffi::synchronize(self.device.into(), self.index)?.map_err(|failure| evaluation_error(failure, unavailable))
    }
}
