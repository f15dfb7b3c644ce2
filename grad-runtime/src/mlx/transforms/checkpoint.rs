//! Functions that are called again for their gradient.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use super::{Function, TransformRecord, on_handles, transform_error};
use crate::error::{Error, Result};
use crate::explain::record::Paused;
use crate::mlx::Array;
use crate::mlx::depth::Differentiating;
use crate::mlx::ffi;
use crate::mlx::running::Running;
use grad_core::ModeSnapshot;
use grad_core::{Backend, Mlx};

/// Wraps a function whose intermediate results are computed again for its gradient instead of kept.
///
/// When the gradient is taken, the function is called again, in the grad modes of the first call. Where the mode is off
/// nothing is recorded, and a call only calls the function. An array that the function captures is a constant to transforms:
/// pass what is to be differentiated or mapped as an input.
///
/// ```
/// use grad_runtime::mlx::{self, Array};
/// use grad_runtime::no_grad;
///
/// // x² · stop(x)
/// let layer = mlx::checkpoint(|x| Ok(vec![x[0].square()?.multiply(&no_grad! { x[0].abs()? })?]));
/// let x = Array::scalar(3.0_f32)?;
/// let gradients = Array::grad(|x| Ok::<_, grad_runtime::Error>(layer.call(x)?.remove(0)), &[x])?;
/// assert_eq!(gradients[0].item::<f32>()?, 18.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn checkpoint<F>(function: F) -> Checkpoint
where
    F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
{
    Checkpoint(Rc::new(function))
}

/// A function that [`checkpoint`] wrapped. It stays on its thread, as arrays do.
///
/// ```
/// use grad_runtime::mlx::{self, Array, Checkpoint};
///
/// let layers: Vec<Checkpoint> = vec![mlx::checkpoint(|x| Ok(vec![x[0].sin()?])), mlx::checkpoint(|x| Ok(vec![x[0].exp()?]))];
/// let mut x = vec![Array::scalar(0.0_f32)?];
/// for layer in &layers {
///     x = layer.call(&x)?;
/// }
/// assert_eq!(x[0].item::<f32>()?, 1.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Checkpoint(Function);

impl Checkpoint {
    /// Calls the function.
    ///
    /// # Errors
    ///
    /// Returns the error of the function. If it fails when it is called again, the transform that takes the gradient returns
    /// that error.
    ///
    /// # Panics
    ///
    /// If the function panics, with its payload.
    ///
    /// ```
    /// use grad_runtime::mlx::{self, Array};
    ///
    /// let square = mlx::checkpoint(|x| Ok(vec![x[0].square()?]));
    /// assert_eq!(square.call(&[Array::scalar(3.0_f32)?])?[0].item::<f32>()?, 9.0);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[track_caller]
    pub fn call(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        if !Mlx.grad_mode().is_enabled() {
            return (self.0)(inputs);
        }
        ffi::api()?;
        let record = Rc::new(TransformRecord::new());
        let outputs = ffi::checkpoint(store_fn(&self.0, &record), ffi::as_handles(inputs));
        let outputs = outputs.map_err(|failure| transform_error::<Error>("checkpoint", inputs, failure))?;
        let outputs: Vec<Array> = outputs.into_iter().map(Array::from_trace).collect();
        record.add_results("checkpoint", &[], &outputs);
        Ok(outputs)
    }
}

/// Returns `function` as MLX stores it: called once, and called again for a transform in the modes of now.
pub(super) fn store_fn(function: &Function, record: &Rc<TransformRecord>) -> ffi::StoredFn {
    let (function, record) = (function.clone(), Rc::clone(record));
    let (modes, called) = (ModeSnapshot::current(), Cell::new(false));
    Box::new(move |inputs| {
        let again = called.replace(true).then(|| {
            (Running::start("checkpoint", Some(record.place)), Differentiating::restart(modes), Paused::start())
        });
        on_handles(|inputs: &[Array]| {
            let outputs = if again.is_some() { function(inputs) } else { record.call_closed(inputs, &*function) }?;
            Ok(outputs)
        })(inputs)
    })
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkpoint")
    }
}
