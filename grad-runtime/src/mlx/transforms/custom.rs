//! Functions with derivatives of their own.

use std::fmt;
use std::rc::Rc;

use super::checkpoint::lasting;
use super::running::Running;
use super::{Function, failed, handed_out, over_handles};
use crate::backend::{Backend, Mlx};
use crate::error::Result;
use crate::mlx::Array;
use crate::mlx::ffi;

/// A function whose derivatives can be defined: see [`CustomFunction::vjp`] and [`CustomFunction::jvp`].
///
/// To transforms it is one operation of its inputs: what it returns in a no-grad scope is a constant, whatever its
/// derivatives say, and so is what it captures. Under [`vmap`](crate::mlx::vmap) the derivatives are mapped too.
///
/// ```
/// use grad_runtime::{Array, mlx, no_grad};
///
/// // The sign, with the gradient of the identity: a straight-through estimator.
/// let sign = mlx::custom_function(|x| Ok(vec![x[0].sign()?]))
///     .vjp(|_primals, cotangents, _outputs| Ok(cotangents.to_vec()));
/// let x = mlx::Array::scalar(3.0_f32)?;
/// let loss = |x: &[mlx::Array]| Ok::<_, grad_runtime::Error>(sign.call(x)?.remove(0));
/// assert_eq!(mlx::Array::grad(loss, &[x.clone()])?[0].item::<f32>()?, 1.0);
/// assert_eq!(mlx::Array::grad(|x| no_grad!(loss(x)), &[x])?[0].item::<f32>()?, 0.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn custom_function<F>(function: F) -> CustomFunction
where
    F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
{
    CustomFunction { function: Rc::new(function), vjp: None, jvp: None }
}

/// Makes cotangents of primals, cotangents and outputs.
type Backward = Rc<dyn Fn(&[Array], &[Array], &[Array]) -> Result<Vec<Array>>>;
/// Makes tangents of primals and tangents.
type Forward = Rc<dyn Fn(&[Array], &[Array]) -> Result<Vec<Array>>>;

/// A function with derivatives of its own; see [`custom_function`]. It stays on its thread, as arrays do.
#[derive(Clone)]
pub struct CustomFunction {
    function: Function,
    vjp: Option<Backward>,
    jvp: Option<Forward>,
}

impl CustomFunction {
    /// Defines the product of cotangents with the Jacobian: `vjp` gets the primals, a cotangent for each output, and the
    /// outputs, and returns a cotangent for each primal, of its shape.
    ///
    /// It is called while a transform takes the gradient, with grad mode `Enabled`, since a transform further out may
    /// differentiate it again; scopes inside it count.
    ///
    /// See [`custom_function`] for an example.
    #[must_use]
    pub fn vjp<F>(mut self, vjp: F) -> Self
    where
        F: Fn(&[Array], &[Array], &[Array]) -> Result<Vec<Array>> + 'static,
    {
        self.vjp = Some(Rc::new(vjp));
        self
    }

    /// Defines the product of the Jacobian with tangents: `jvp` gets the primals and a tangent for each, zeros for one
    /// that does not move, and returns a tangent for each output, of its shape. It is called as in [`vjp`](Self::vjp).
    ///
    /// ```
    /// use grad_runtime::{Array, mlx};
    ///
    /// let (x, one) = (mlx::Array::scalar(3.0_f32)?, mlx::Array::scalar(1.0_f32)?);
    /// let sign = mlx::custom_function(|x| Ok(vec![x[0].sign()?])).jvp(|_primals, tangents| Ok(tangents.to_vec()));
    /// let (_, tangents) = mlx::jvp(|x| sign.call(x), &[x], &[one])?;
    /// assert_eq!(tangents[0].item::<f32>()?, 1.0);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn jvp<F>(mut self, jvp: F) -> Self
    where
        F: Fn(&[Array], &[Array]) -> Result<Vec<Array>> + 'static,
    {
        self.jvp = Some(Rc::new(jvp));
        self
    }

    /// What the function makes of `inputs`.
    ///
    /// # Errors
    ///
    /// What the function returns. If a derivative fails, or returns arrays of other shapes, that is the error of the
    /// transform that asked for it.
    ///
    /// # Panics
    ///
    /// If the function panics, with its payload.
    ///
    /// See [`custom_function`] for an example.
    pub fn call(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        const NAME: &str = "custom_function";
        if !Mlx.grad_mode().is_enabled() {
            let outputs = (self.function)(inputs)?;
            return handed_out(NAME, inputs, outputs.into_iter().map(Array::into_handle).collect());
        }
        ffi::api()?;
        let of_inputs = inputs.len();
        let backward = self.vjp.clone().map(|vjp| -> ffi::Lasting {
            Box::new(move |given| {
                let _running = Running::start();
                over_handles(|given: &[Array]| {
                    let (primals, others) = given.split_at(of_inputs);
                    let (cotangents, outputs) = others.split_at(others.len() / 2);
                    vjp(primals, cotangents, outputs)
                })(given)
            })
        });
        let forward = self.jvp.clone().map(|jvp| -> ffi::Lasting {
            Box::new(move |given| {
                let _running = Running::start();
                over_handles(|given: &[Array]| {
                    let (primals, tangents) = given.split_at(of_inputs);
                    jvp(primals, tangents)
                })(given)
            })
        });
        let outputs = ffi::custom(lasting(&self.function), backward, forward, ffi::handles(inputs));
        let outputs = outputs.map_err(|failure| failed::<crate::Error>(NAME, inputs, failure))?;
        Ok(outputs.into_iter().map(Array::traced).collect())
    }
}

impl fmt::Debug for CustomFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let defined = |derivative: bool| if derivative { "defined" } else { "derived" };
        f.debug_struct("CustomFunction")
            .field("vjp", &defined(self.vjp.is_some()))
            .field("jvp", &defined(self.jvp.is_some()))
            .finish_non_exhaustive()
    }
}
