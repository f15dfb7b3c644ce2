//! `Shared`: the elements of an array, for any thread.

use std::fmt;
use std::panic::Location;

use crate::array::{Array, refused};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::explain::record;

/// The elements of an array, for any number of threads. Nothing is copied.
///
/// An `mlx::Array` stays on the thread that created it, as the graph behind it does. Its elements need not: [`new`](Self::new)
/// computes them and returns a handle that is `Send`, `Sync` and `Clone`, and [`open`](Self::open) returns an array of the thread
/// that calls it. All these arrays have one buffer, which is freed with the last of them and of the handles, in any order and on
/// any thread. No operation changes the elements: MLX writes into the buffer of an operand only where nothing else refers to it.
///
/// `cpu::Array` is `Send` and `Sync` itself. For generic code it can be shared in the same way.
/// [`params::share`](crate::params::share) shares the arrays of a model.
///
/// ```
/// # #[cfg(feature = "mlx")] {
/// use std::thread;
///
/// use grad_runtime::{Shared, mlx};
///
/// let weight = mlx::Array::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], &[2, 2])?;
/// let shared = Shared::new(&weight)?;
/// let handles = [1.0_f32, 10.0].map(|scale| {
///     let shared = shared.clone();
///     thread::spawn(move || {
///         let weight: mlx::Array = shared.open()?;
///         let scale = mlx::Array::scalar(scale)?;
///         weight.multiply(&scale)?.to_vec::<f32>()
///     })
/// });
/// let [first, second] = handles.map(|handle| handle.join().unwrap());
/// assert_eq!(first?, [1.0, 2.0, 3.0, 4.0]);
/// assert_eq!(second?, [10.0, 20.0, 30.0, 40.0]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Views
///
/// A slice, a transposed or a broadcast array is shared as it is, with its strides and offset. A slice keeps the buffer of the whole
/// array alive.
///
/// # Memory on a GPU
///
/// On an NVIDIA GPU, sharing moves the buffer to unified memory, once, since MLX would do so without a lock when the CPU first reads
/// it. It also blocks until all operations that this thread has started are done.
#[derive(Clone)]
pub struct Shared<A: Array>(A::Shared);

impl<A: Array> Shared<A> {
    /// Computes the elements of an array and returns them for other threads.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Array, Result, Shared, cpu, no_grad};
    ///
    /// let x = cpu::Array::scalar(3.0_f32)?;
    /// cpu::Array::grad(
    ///     |x| {
    ///         // A gradient cannot reach another thread, so the code must say that none is wanted.
    ///         let error = Shared::new(&x[0]).unwrap_err();
    ///         assert!(error.to_string().contains("share it in a no-grad scope"));
    ///         let shared = no_grad! { Shared::new(&x[0])? };
    ///         shared.open()?.multiply(&x[0])
    ///     },
    ///     &[x],
    /// )?;
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if a running transform traces the array and the grad mode is enabled: what is
    /// shared is a constant, and the gradient would be lost. Share the array in a no-grad scope, or share the result of
    /// [`stop_gradient`](Array::stop_gradient). Also if the elements cannot be computed, as in a function that is mapped or compiled.
    #[track_caller]
    pub fn new(array: &A) -> Result<Self> {
        let mut shared = share_all(&[("", array)])?;
        Ok(shared.swap_remove(0))
    }

    /// Returns an array of this thread with the shared elements. To a transform that is running it is a constant.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Array, Shared, cpu};
    ///
    /// let shared = Shared::new(&cpu::Array::from_slice(&[2.0_f32, 5.0], &[2])?)?;
    /// let x = cpu::Array::from_slice(&[1.0_f32, 1.0], &[2])?;
    /// let gradients = cpu::Array::grad(|x| shared.open()?.multiply(&x[0])?.sum_all(), &[x])?;
    /// assert_eq!(gradients[0].to_vec::<f32>()?, [2.0, 5.0]);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) if this thread is ending and has destroyed its part of MLX.
    #[track_caller]
    pub fn open(&self) -> Result<A> {
        A::open(&self.0)
    }

    /// Returns the length of each axis.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Dtype, Shared, cpu};
    ///
    /// assert_eq!(Shared::new(&cpu::Array::zeros(&[2, 3], Dtype::Float32)?)?.shape(), [2, 3]);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        A::describe(&self.0).shape
    }

    /// Returns the type of the elements.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// use grad_runtime::{Dtype, Shared, cpu};
    ///
    /// assert_eq!(Shared::new(&cpu::Array::scalar(true)?)?.dtype(), Dtype::Bool);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        A::describe(&self.0).dtype
    }
}

/// Shows dtype and shape.
impl<A: Array> fmt::Debug for Shared<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({})", A::describe(&self.0))
    }
}

/// Shares arrays, each with the path that an error gives, which is empty for an array that is not part of a structure.
#[track_caller]
pub(crate) fn share_all<A: Array>(named: &[(&str, &A)]) -> Result<Vec<Shared<A>>> {
    for &(path, array) in named {
        if !array.is_traced() {
            continue;
        }
        if A::backend().grad_mode().is_enabled() {
            let subject = if path.is_empty() { "the array".to_owned() } else { format!("`{path}`") };
            let reason = format!(
                "a running transform traces {subject}, and what is shared is a constant; share it in a no-grad scope, or share \
                 the result of `stop_gradient`"
            );
            return Err(refused("share", &[array], reason));
        }
        if record::is_recording() {
            record::read(array, Location::caller());
        }
    }
    let arrays: Vec<A> = named.iter().map(|&(_, array)| array.clone()).collect();
    Ok(A::share_all(&arrays)?.into_iter().map(Shared).collect())
}
