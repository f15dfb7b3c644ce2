//! Functions that are traced once and then run without their Rust code.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::{Function, on_handles, operation_error, transform_error};
use crate::error::{Error, Result};
use crate::mlx::Array;
use crate::mlx::depth::Tracing;
use crate::mlx::ffi;
use crate::mlx::running::Running;
use grad_core::ModeSnapshot;

/// Compiles a function of arrays. The first call runs its Rust code to record the operations that it consists of; later calls
/// run those operations, fused where the device can.
///
/// The function is traced once for each combination of shapes and dtypes of the inputs, and once for each grad mode that it
/// is called in. While it is traced, arrays have no elements, and what it captures is recorded as it is then.
///
/// Inside the function of another transform, a call runs the Rust code, which becomes part of what is transformed. A compiled
/// function may call itself.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// use grad_runtime::mlx::{self, Array};
/// use grad_runtime::no_grad;
///
/// let traced = Rc::new(Cell::new(0));
/// let square = mlx::compile({
///     let traced = traced.clone();
///     move |x| {
///         traced.set(traced.get() + 1);
///         Ok(vec![x[0].square()?])
///     }
/// });
/// let x = Array::scalar(3.0_f32)?;
/// for _ in 0..3 {
///     assert_eq!(square.call(&[x.clone()])?[0].item::<f32>()?, 9.0);
///     no_grad!(square.call(&[x.clone()])?);
/// }
/// assert_eq!(traced.get(), 2); // once for each mode
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn compile<F>(function: F) -> Compiled
where
    F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
{
    Compiled { function: Rc::new(function), shapeless: false, traced: Rc::default() }
}

/// A function that [`compile`] wrapped. It stays on its thread, as arrays do. Clones share what is compiled.
///
/// ```
/// use grad_runtime::mlx::{self, Array, Compiled};
///
/// struct Model {
///     step: Compiled,
/// }
/// let model = Model { step: mlx::compile(|x| Ok(vec![x[0].exp()?])) };
/// assert_eq!(model.step.clone().call(&[Array::scalar(0.0_f32)?])?[0].item::<f32>()?, 1.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Compiled {
    function: Function,
    shapeless: bool,
    traced: Rc<RefCell<Traced>>,
}

pub(in crate::mlx) const NAME: &str = "compile";

/// The function as compiled for each grad mode that it has been called in.
type Traced = Vec<(ModeSnapshot, Rc<ffi::Compiled>)>;

impl Compiled {
    /// Returns a function that is not traced again for other shapes.
    ///
    /// # Safety
    ///
    /// The operations that the function consists of must be valid for all shapes that it is called with. MLX runs those of the
    /// first call and checks nothing. If one depends on the first shapes, such as a slice up to a length or indices that were
    /// in bounds, it reads out of bounds.
    ///
    /// ```
    /// use grad_runtime::Dtype;
    /// use grad_runtime::mlx::{self, Array};
    ///
    /// let sum = mlx::compile(|x| Ok(vec![x[0].exp()?.sum(&[0], false)?]));
    /// // SAFETY: an elementwise operation and a sum over an axis are valid for any length.
    /// let sum = unsafe { sum.shapeless() };
    /// for length in [2, 3] {
    ///     let sum = sum.call(&[Array::zeros(&[length], Dtype::Float32)?])?;
    ///     assert_eq!(sum[0].item::<f32>()?, length as f32);
    /// }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    #[allow(unsafe_code, reason = "the caller must guarantee something; the code that relies on it is in `ffi`")]
    pub unsafe fn shapeless(self) -> Self {
        Self { shapeless: true, traced: Rc::default(), ..self }
    }

    /// Calls the function, and compiles it first if it is not compiled for these inputs and this grad mode.
    ///
    /// # Errors
    ///
    /// Returns the error of the function; [`Error::Operation`](crate::Error::Operation) if it cannot be compiled, for example
    /// because it reads elements.
    ///
    /// # Panics
    ///
    /// If the function panics, with its payload.
    ///
    /// ```
    /// use grad_runtime::mlx::{self, Array};
    ///
    /// let square = mlx::compile(|x| Ok(vec![x[0].square()?]));
    /// assert_eq!(square.call(&[Array::scalar(3.0_f32)?])?[0].item::<f32>()?, 9.0);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    pub fn call(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        // MLX asks the arrays' tracer flags whether a transform is running, and an inner transform clears those. Nor may it
        // compile a function while it compiles the same one for other shapes, since it would overwrite that one's entry.
        if ffi::thread::is_transforming() {
            return (self.function)(inputs);
        }
        ffi::api()?;
        let compiled =
            self.for_modes(ModeSnapshot::current()).map_err(|reason| operation_error(NAME, inputs, reason))?;
        let outputs = compiled
            .call(ffi::as_handles(inputs))
            .map_err(|failure| transform_error::<Error>(NAME, inputs, failure))?;
        // The function has made its outputs constants already, where the mode is off.
        Ok(outputs.into_iter().map(Array::from_trace).collect())
    }

    fn for_modes(&self, modes: ModeSnapshot) -> Result<Rc<ffi::Compiled>, String> {
        let mut traced = self.traced.borrow_mut();
        if let Some((_, compiled)) = traced.iter().find(|(of, _)| *of == modes) {
            return Ok(compiled.clone());
        }
        let function = self.function.clone();
        let stored: ffi::StoredFn = Box::new(move |inputs| {
            let _running = (Running::start(NAME, None), Tracing::start());
            on_handles(|inputs: &[Array]| function(inputs))(inputs)
        });
        let compiled = Rc::new(ffi::compile(stored, self.shapeless)?);
        traced.push((modes, compiled.clone()));
        Ok(compiled)
    }
}

/// Shows the modes that it has been traced in.
impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modes: Vec<ModeSnapshot> = self.traced.borrow().iter().map(|(modes, _)| *modes).collect();
        f.debug_struct("Compiled")
            .field("shapeless", &self.shapeless)
            .field("traced_in", &modes)
            .finish_non_exhaustive()
    }
}
