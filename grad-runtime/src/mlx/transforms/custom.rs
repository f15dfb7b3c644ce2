//! Functions with their own derivatives.

use std::fmt;
use std::rc::Rc;

use super::checkpoint::store_fn;
use super::{Function, TransformRecord, finish_outputs, on_handles, transform_error};
use crate::error::{Error, Result};
use crate::explain::record::Paused;
use crate::mlx::Array;
use crate::mlx::depth::Differentiating;
use crate::mlx::ffi;
use crate::mlx::running::Running;
use grad_core::{Backend, Mlx};

/// Wraps a function to define its derivatives with [`CustomFunction::vjp`] and [`CustomFunction::jvp`]. A derivative that is
/// not defined is derived.
///
/// To transforms, the function is a single operation on its inputs. In a no-grad scope its outputs are constants, whatever its
/// derivatives; arrays that it captures are always constants. Under [`vmap`](crate::mlx::vmap) the derivatives are mapped too.
///
/// ```
/// use grad_runtime::mlx::{self, Array};
/// use grad_runtime::no_grad;
///
/// // The sign, with the gradient of the identity: a straight-through estimator.
/// let sign = mlx::custom_function(|x| Ok(vec![x[0].sign()?]))
///     .vjp(|_primals, cotangents, _outputs| Ok(cotangents.to_vec()));
/// let x = Array::scalar(3.0_f32)?;
/// let loss = |x: &[Array]| Ok::<_, grad_runtime::Error>(sign.call(x)?.remove(0));
/// assert_eq!(Array::grad(loss, &[x.clone()])?[0].item::<f32>()?, 1.0);
/// assert_eq!(Array::grad(|x| no_grad!(loss(x)), &[x])?[0].item::<f32>()?, 0.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn custom_function<F>(function: F) -> CustomFunction
where
    F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
{
    CustomFunction { function: Rc::new(function), vjp: None, jvp: None }
}

/// Takes primals, cotangents and outputs, and returns cotangents of the primals.
type Backward = Rc<dyn Fn(&[Array], &[Array], &[Array]) -> Result<Vec<Array>>>;
/// Takes primals and their tangents, and returns tangents of the outputs.
type Forward = Rc<dyn Fn(&[Array], &[Array]) -> Result<Vec<Array>>>;

/// A function that [`custom_function`] wrapped. It stays on its thread, as arrays do.
///
/// ```
/// use grad_runtime::mlx::{self, Array, CustomFunction};
///
/// let round: CustomFunction = mlx::custom_function(|x| Ok(vec![x[0].round(0)?])).vjp(|_, cotangents, _| Ok(cotangents.to_vec()));
/// assert_eq!(round.call(&[Array::scalar(1.7_f32)?])?[0].item::<f32>()?, 2.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct CustomFunction {
    function: Function,
    vjp: Option<Backward>,
    jvp: Option<Forward>,
}

impl CustomFunction {
    /// Defines the product of cotangents with the Jacobian. `vjp` takes the primals, a cotangent for each output, and the
    /// outputs. It returns a cotangent for each primal, of its shape.
    ///
    /// A transform that takes the gradient calls it with grad mode `Enabled`, since a transform further out may differentiate
    /// it again; scopes inside it count.
    ///
    /// ```
    /// use grad_runtime::mlx::{self, Array};
    ///
    /// // The gradient is clipped, the value is not.
    /// let clip = mlx::custom_function(|x| Ok(x.to_vec()))
    ///     .vjp(|_, cotangents, _| Ok(vec![cotangents[0].minimum(&Array::scalar(1.0_f32)?)?]));
    /// let loss = |x: &[Array]| clip.call(x)?[0].square();
    /// assert_eq!(Array::grad(loss, &[Array::scalar(3.0_f32)?])?[0].item::<f32>()?, 1.0);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[must_use]
    pub fn vjp<F>(mut self, vjp: F) -> Self
    where
        F: Fn(&[Array], &[Array], &[Array]) -> Result<Vec<Array>> + 'static,
    {
        self.vjp = Some(Rc::new(vjp));
        self
    }

    /// Defines the product of the Jacobian with tangents. `jvp` takes the primals and a tangent for each, zeros for a primal that
    /// has none. It returns a tangent for each output, of its shape. It is called as [`vjp`](Self::vjp) is.
    ///
    /// ```
    /// use grad_runtime::mlx::{self, Array};
    ///
    /// let (x, one) = (Array::scalar(3.0_f32)?, Array::scalar(1.0_f32)?);
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

    /// Calls the function.
    ///
    /// # Errors
    ///
    /// Returns the error of the function. If a derivative fails or returns arrays of other shapes, the transform that called it
    /// returns that error.
    ///
    /// # Panics
    ///
    /// If the function panics, with its payload.
    ///
    /// ```
    /// use grad_runtime::mlx::{self, Array};
    ///
    /// let sign = mlx::custom_function(|x| Ok(vec![x[0].sign()?]));
    /// assert_eq!(sign.call(&[Array::scalar(-3.0_f32)?])?[0].item::<f32>()?, -1.0);
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    #[track_caller]
    pub fn call(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        const NAME: &str = "custom_function";
        if !Mlx.grad_mode().is_enabled() {
            let outputs = (self.function)(inputs)?;
            return finish_outputs(NAME, inputs, outputs.into_iter().map(Array::into_handle).collect());
        }
        ffi::api()?;
        let count = inputs.len();
        let record = Rc::new(TransformRecord::new());
        let place = record.place;
        let backward = self.vjp.clone().map(|vjp| -> ffi::StoredFn {
            Box::new(move |given| {
                let _again = (Running::start("the vjp", Some(place)), Differentiating::start(), Paused::start());
                on_handles(|given: &[Array]| {
                    let (primals, others) = given.split_at(count);
                    let (cotangents, outputs) = others.split_at(others.len() / 2);
                    vjp(primals, cotangents, outputs)
                })(given)
            })
        });
        let forward = self.jvp.clone().map(|jvp| -> ffi::StoredFn {
            Box::new(move |given| {
                let _again = (Running::start("the jvp", Some(place)), Differentiating::start(), Paused::start());
                on_handles(|given: &[Array]| {
                    let (primals, tangents) = given.split_at(count);
                    jvp(primals, tangents)
                })(given)
            })
        });
        let outputs = ffi::custom(store_fn(&self.function, &record), backward, forward, ffi::as_handles(inputs));
        let outputs = outputs.map_err(|failure| transform_error::<Error>(NAME, inputs, failure))?;
        let outputs: Vec<Array> = outputs.into_iter().map(Array::from_trace).collect();
        if self.vjp.is_some() {
            // What the function does to its inputs plays no part.
            record.keep_outputs(&[]);
            record.add_results(NAME, inputs, &outputs);
        } else {
            record.add_results(NAME, &[], &outputs);
        }
        Ok(outputs)
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
