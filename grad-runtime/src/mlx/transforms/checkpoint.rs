//! Functions computed again for their gradient.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use super::running::Running;
use super::{Function, failed, over_handles};
use crate::backend::{Backend, Mlx};
use crate::carry::Modes;
use crate::error::Result;
use crate::mlx::Array;
use crate::mlx::ffi;

/// A function whose intermediate results are not kept for its gradient, but computed again.
///
/// It is called once more when the gradient is taken, in the grad modes of the first call. Where the mode is off there is
/// nothing to keep, and it is the function itself. To the transforms around, an array that it captures is a constant: what
/// is to be differentiated or mapped must be an input.
///
/// ```
/// use grad_runtime::{Array, mlx, no_grad};
///
/// // x² · stop(x)
/// let layer = mlx::checkpoint(|x| Ok(vec![x[0].square()?.multiply(&no_grad! { x[0].abs()? })?]));
/// let x = mlx::Array::scalar(3.0_f32)?;
/// let gradients = mlx::Array::grad(|x| Ok::<_, grad_runtime::Error>(layer.call(x)?.remove(0)), &[x])?;
/// assert_eq!(gradients[0].item::<f32>()?, 18.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn checkpoint<F>(function: F) -> Checkpoint
where
    F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
{
    Checkpoint(Rc::new(function))
}

/// A checkpointed function; see [`checkpoint`]. It stays on its thread, as arrays do.
#[derive(Clone)]
pub struct Checkpoint(Function);

impl Checkpoint {
    /// What the function makes of `inputs`.
    ///
    /// # Errors
    ///
    /// What the function returns. If it fails when it is called again, that is the error of the transform that takes the
    /// gradient.
    ///
    /// # Panics
    ///
    /// If the function panics, with its payload.
    ///
    /// See [`checkpoint`] for an example.
    pub fn call(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        if !Mlx.grad_mode().is_enabled() {
            return (self.0)(inputs);
        }
        ffi::api()?;
        let outputs = ffi::checkpoint(lasting(&self.0), ffi::handles(inputs));
        let outputs = outputs.map_err(|failure| failed::<crate::Error>("checkpoint", inputs, failure))?;
        Ok(outputs.into_iter().map(Array::traced).collect())
    }
}

/// `function` as MLX keeps it: called now, and again when a transform needs it, in the modes of now.
pub fn lasting(function: &Function) -> ffi::Lasting {
    let (function, modes, called) = (function.clone(), Modes::current(), Cell::new(false));
    Box::new(move |inputs| {
        let _running = called.replace(true).then(|| Running::again(modes));
        over_handles(|inputs: &[Array]| function(inputs))(inputs)
    })
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkpoint")
    }
}
