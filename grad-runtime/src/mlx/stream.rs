//! Streams.

use super::device::Device;
use super::ffi;
use crate::error::{Error, Result, Unavailable};

fn unavailable(reason: String) -> Error {
    Unavailable { backend: "mlx", reason }.into()
}

/// A queue of a device: what is given to one stream is computed in order, different streams may be at work at once.
///
/// MLX gives each thread streams of its own, so a stream stays on its thread. They live as long as the process.
///
/// ```
/// use grad_runtime::mlx::{self, Stream};
/// use grad_runtime::{Array, Dtype, no_grad};
///
/// let stream = Stream::new(mlx::default_device()?)?;
/// let ones = no_grad! { stream.scope(|| mlx::Array::ones(&[2], Dtype::Float32)?.exp())?? };
/// stream.synchronize()?;
/// assert_eq!(ones.to_vec::<f32>()?, [1.0_f32.exp(); 2]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    device: Device,
    index: i32,
    /// Neither Send nor Sync.
    _thread: std::marker::PhantomData<*const ()>,
}

impl Stream {
    /// A new stream of this thread on `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if MLX cannot be loaded or has no such device.
    ///
    /// See [`Stream`] for an example.
    pub fn new(device: Device) -> Result<Self> {
        if !super::is_available(device)? {
            return Err(unavailable(format!("it has no {device} here: ask `mlx::is_available` first")));
        }
        let index = ffi::new_stream(device as i32)?.map_err(unavailable)?;
        Ok(Self { device, index, _thread: std::marker::PhantomData })
    }

    /// Runs `f` with this as the stream of new operations on its device, and puts the stream found there back, however
    /// `f` ends. Operations go to it if its device is the [default one](super::default_device).
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if MLX refuses the stream.
    ///
    /// # Panics
    ///
    /// If `f` panics, with its payload.
    ///
    /// See [`Stream`] for an example.
    pub fn scope<R>(&self, f: impl FnOnce() -> R) -> Result<R> {
        struct Restore(i32, i32);
        impl Drop for Restore {
            fn drop(&mut self) {
                // It was the default stream before, so MLX takes it again.
                let _ = ffi::set_default_stream(self.0, self.1);
            }
        }
        let device = self.device as i32;
        let found = ffi::default_stream(device)?.map_err(unavailable)?;
        ffi::set_default_stream(device, self.index)?.map_err(unavailable)?;
        let _restore = Restore(device, found);
        Ok(f())
    }

    /// Waits until all that was given to this stream is computed.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if MLX refuses the stream.
    ///
    /// See [`Stream`] for an example.
    pub fn synchronize(&self) -> Result<()> {
        ffi::synchronize(self.device as i32, self.index)?.map_err(unavailable)
    }
}
