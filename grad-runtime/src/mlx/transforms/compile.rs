//! Functions traced once and then run without their Rust code.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::running::{Tracing, is_tracing};
use super::{Function, failed, over_handles, refuse};
use crate::carry::Modes;
use crate::error::Result;
use crate::mlx::Array;
use crate::mlx::ffi;

/// Compiles a function of arrays: its Rust code runs when it is first called, to see which operations it is made of, and
/// MLX then runs those, fused where the device can.
///
/// It is traced once for each combination of shapes and dtypes of the inputs, and for each grad mode that it is called in,
/// so that it remembers nothing of the mode it was first traced in. While it is traced, arrays have no elements, and what
/// it captures is taken as it is then.
///
/// Inside a transform's function the function itself is called, to be part of what is transformed; it may call itself.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// use grad_runtime::{Array, mlx, no_grad};
///
/// let traced = Rc::new(Cell::new(0));
/// let square = mlx::compile({
///     let traced = traced.clone();
///     move |x| {
///         traced.set(traced.get() + 1);
///         Ok(vec![x[0].square()?])
///     }
/// });
/// let x = mlx::Array::scalar(3.0_f32)?;
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
    Compiled { function: Rc::new(function), shapeless: false, traced: RefCell::default() }
}

/// A function that is compiled when it is called; see [`compile`]. It stays on its thread, as arrays do.
pub struct Compiled {
    function: Function,
    shapeless: bool,
    traced: RefCell<Vec<(Modes, Rc<ffi::Compiled>)>>,
}

impl Compiled {
    /// The same, not traced again for other shapes.
    ///
    /// # Safety
    ///
    /// The operations that the function is made of must be right for all shapes it is called with. MLX runs those of the
    /// first call and checks nothing: an array of a length that was taken from the first inputs, or indices that are in
    /// bounds for those, is then read out of bounds.
    ///
    /// ```
    /// use grad_runtime::{Array, Dtype, mlx};
    ///
    /// let sum = mlx::compile(|x| Ok(vec![x[0].exp()?.sum(&[0], false)?]));
    /// // SAFETY: an elementwise operation and a sum over an axis are the same for any length.
    /// let sum = unsafe { sum.shapeless() };
    /// for length in [2, 3] {
    ///     let sum = sum.call(&[mlx::Array::zeros(&[length], Dtype::Float32)?])?;
    ///     assert_eq!(sum[0].item::<f32>()?, length as f32);
    /// }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    #[allow(unsafe_code, reason = "it has a contract; what relies on it is in `ffi`")]
    pub unsafe fn shapeless(self) -> Self {
        Self { shapeless: true, traced: RefCell::default(), ..self }
    }

    /// What the function makes of `inputs`.
    ///
    /// # Errors
    ///
    /// What the function returns; [`Error::Operation`](crate::Error::Operation) if it cannot be compiled, for example
    /// because it looks at elements.
    ///
    /// # Panics
    ///
    /// If the function panics, with its payload.
    ///
    /// See [`compile`] for an example.
    pub fn call(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        const NAME: &str = "compile";
        // MLX asks the arrays whether a transform is running, and an inner transform takes that mark from them. Nor may it
        // compile a function while it compiles the same for other shapes: it would lose the place of the outer one.
        if is_tracing() {
            return (self.function)(inputs);
        }
        ffi::api()?;
        let compiled = self.for_modes(Modes::current()).map_err(|reason| refuse(NAME, inputs, reason))?;
        let outputs =
            compiled.call(ffi::handles(inputs)).map_err(|failure| failed::<crate::Error>(NAME, inputs, failure))?;
        // The function has kept the rule already.
        Ok(outputs.into_iter().map(Array::traced).collect())
    }

    fn for_modes(&self, modes: Modes) -> Result<Rc<ffi::Compiled>, String> {
        let mut traced = self.traced.borrow_mut();
        if let Some((_, compiled)) = traced.iter().find(|(of, _)| *of == modes) {
            return Ok(compiled.clone());
        }
        let function = self.function.clone();
        let kept: ffi::Lasting = Box::new(move |inputs| {
            let _tracing = Tracing::start();
            over_handles(|inputs: &[Array]| function(inputs))(inputs)
        });
        let compiled = Rc::new(ffi::compile(kept, self.shapeless)?);
        traced.push((modes, compiled.clone()));
        Ok(compiled)
    }
}

/// The modes that it has been traced in.
impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modes: Vec<Modes> = self.traced.borrow().iter().map(|(modes, _)| *modes).collect();
        f.debug_struct("Compiled")
            .field("shapeless", &self.shapeless)
            .field("traced_in", &modes)
            .finish_non_exhaustive()
    }
}
