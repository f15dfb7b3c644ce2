//! MLX's transforms over structures of arrays.
//!
//! Each calls the function of [`mlx`] on the arrays of a structure and returns results in the structure that the function returned.
//! Scopes count as there. The trainable arrays ([`Role`](super::Role)) are differentiated; the others are constants to the function.

use std::convert::Infallible;
use std::rc::Rc;

use super::gradient::{primals_of, with_all, with_gradients, with_primals};
use super::returned::{Returned, emptied, keep, placeholder, rebuilt};
use super::{Params, Path};
use crate::detach::Detach as _;
use crate::error::{Error, Result};
use crate::mlx::{self, Array};

/// Computes a function of structures and the product of `cotangents` with its Jacobian: [`mlx::vjp`] over a structure.
///
/// Returns the outputs, and a cotangent for each array of `params`: zeros for arrays that are not trainable.
///
/// ```
/// use grad_runtime::{Error, mlx::Array, params};
///
/// let model = (Array::scalar(3.0_f32)?, Array::scalar(2.0_f32)?);
/// let function = |(x, y): &(Array, Array)| Ok::<_, Error>((x.multiply(y)?, x.add(y)?));
/// let cotangents = (Array::scalar(1.0_f32)?, Array::scalar(10.0_f32)?);
/// let ((product, _sum), (by_x, by_y)) = params::vjp(function, &model, &cotangents)?;
/// assert_eq!(product.item::<f32>()?, 6.0);
/// assert_eq!((by_x.item::<f32>()?, by_y.item::<f32>()?), (12.0, 13.0));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
///
/// As [`mlx::vjp`]; also if a trainable array is not floating point, whose path the error gives.
///
/// # Panics
///
/// If `function` panics, with its payload.
#[track_caller]
pub fn vjp<P, Q, F, E>(function: F, params: &P, cotangents: &Q) -> Result<(Q, P), E>
where
    P: Params<Array>,
    Q: Params<Array>,
    F: FnOnce(&P) -> Result<Q, E>,
    E: From<Error>,
{
    const OP: &str = "vjp";
    let primals = primals_of(OP, params)?;
    let (returned, empty) = (Returned::default(), placeholder()?);
    let traced =
        |primals: &[Array]| Ok::<_, E>(keep(&returned, &function(&with_primals(params, primals))?, &empty));
    let (outputs, derived) = mlx::vjp(traced, &primals, &cotangents.arrays())?;
    // Cotangents in another structure of as many arrays would belong to other outputs.
    rebuilt(&returned, &outputs)
        .try_map_with([cotangents], |_, output, _| Ok(output.clone()))
        .map_err(|error: Error| error.with_op(OP))?;
    Ok((rebuilt(&returned, &outputs), with_gradients(OP, params, &derived)?))
}

/// Computes a function of structures and its derivative in the direction of `tangents`: [`mlx::jvp`] over a structure.
///
/// Returns the outputs and a tangent for each of them. Of `tangents`, those of trainable arrays count.
///
/// ```
/// use grad_runtime::{mlx::Array, params};
///
/// let (model, direction) = (vec![Array::scalar(3.0_f32)?], vec![Array::scalar(1.0_f32)?]);
/// let (square, slope) = params::jvp(|x: &Vec<Array>| x[0].square(), &model, &direction)?;
/// assert_eq!((square.item::<f32>()?, slope.item::<f32>()?), (9.0, 6.0));
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// As [`mlx::jvp`]; also if a trainable array is not floating point, whose path the error gives.
///
/// # Panics
///
/// If `function` panics, with its payload.
#[track_caller]
pub fn jvp<P, Q, F, E>(function: F, params: &P, tangents: &P) -> Result<(Q, Q), E>
where
    P: Params<Array>,
    Q: Params<Array>,
    F: FnOnce(&P) -> Result<Q, E>,
    E: From<Error>,
{
    let primals = primals_of("jvp", params)?;
    let (returned, empty) = (Returned::default(), placeholder()?);
    let traced =
        |primals: &[Array]| Ok::<_, E>(keep(&returned, &function(&with_primals(params, primals))?, &empty));
    let mut directions = Vec::with_capacity(primals.len());
    params
        .try_map_with([tangents], |path, array, [tangent]| {
            if path.is_trainable() {
                directions.push(tangent.clone());
            }
            Ok::<_, Error>(array.clone())
        })
        .map_err(|error| error.with_op("jvp"))?;
    let (outputs, derived) = mlx::jvp(traced, &primals, &directions)?;
    Ok((rebuilt(&returned, &outputs), rebuilt(&returned, &derived)))
}

/// Maps a function over an axis of each array for which `in_axis` returns one, and stacks its outputs along their first axes:
/// [`mlx::vmap`] over a structure, for an ensemble of models or a gradient for each example.
///
/// ```
/// use grad_runtime::{mlx::Array, params};
///
/// // A gradient for each of two examples, with respect to one weight.
/// let (weight, x) = (Array::scalar(2.0_f32)?, Array::from_slice(&[1.0_f32, 3.0], &[2])?);
/// let gradient = |(weight, x): &(Array, Array)| params::grad(|weight: &Array| weight.multiply(x)?.square(), weight);
/// let is_example = |path: &params::Path<'_>| (path.to_string() == "1").then_some(0);
/// let gradients = params::vmap(gradient, &(weight, x), is_example)?;
/// assert_eq!(gradients.to_vec::<f32>()?, [4.0, 36.0]);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// As [`mlx::vmap`].
///
/// # Panics
///
/// If `function` panics, with its payload.
#[track_caller]
pub fn vmap<P, Q, F, E>(function: F, params: &P, in_axis: impl Fn(&Path<'_>) -> Option<isize>) -> Result<Q, E>
where
    P: Params<Array>,
    Q: Params<Array>,
    F: FnOnce(&P) -> Result<Q, E>,
    E: From<Error>,
{
    let mut axes = Vec::new();
    params.visit_arrays(&Path::root(), &mut |path, _| axes.push(in_axis(path)));
    let (returned, empty) = (Returned::default(), placeholder()?);
    let traced = |entries: &[Array]| Ok::<_, E>(keep(&returned, &function(&with_all(params, entries))?, &empty));
    let outputs = mlx::map_over(traced, &params.arrays(), &axes)?;
    Ok(rebuilt(&returned, &outputs))
}

/// Calls a function that is called again when its gradient is taken, so that what it computes on the way is not kept:
/// [`mlx::checkpoint`] over a structure.
///
/// The arrays of `params` receive gradients: pass the weights of a block beside its input, in one tuple. Arrays that the function
/// captures, and those that are not trainable, are constants.
///
/// ```
/// use grad_runtime::{Array, Params, Result, mlx, params};
///
/// #[derive(Params, Clone)]
/// struct Block<A: Array> {
///     weight: A,
/// }
///
/// impl<A: Array> Block<A> {
///     fn forward(&self, x: &A) -> Result<A> {
///         x.multiply(&self.weight)?.tanh()
///     }
/// }
///
/// let block = Block { weight: mlx::Array::scalar(0.5_f32)? };
/// let x = mlx::Array::scalar(2.0_f32)?;
/// let loss = |block: &Block<mlx::Array>| {
///     params::checkpoint(|(block, x)| Block::forward(block, x), &(block.clone(), x.clone()))
/// };
/// let gradients = params::grad(loss, &block)?;
/// assert!((gradients.weight.item::<f32>()? - 0.8399).abs() < 1e-4); // 2 / cosh²(1)
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// As [`mlx::Checkpoint::call`].
///
/// # Panics
///
/// If `function` panics, with its payload.
#[track_caller]
pub fn checkpoint<P, Q, F>(function: F, params: &P) -> Result<Q>
where
    P: Params<Array> + 'static,
    Q: Params<Array> + 'static,
    F: Fn(&P) -> Result<Q> + 'static,
{
    let (template, empty, returned) = (emptied(params)?, placeholder()?, Rc::new(Returned::default()));
    let called = mlx::checkpoint({
        let returned = Rc::clone(&returned);
        move |inputs| Ok(keep(&returned, &function(&constants_detached(&with_all(&template, inputs)))?, &empty))
    });
    let outputs = called.call(&params.arrays())?;
    Ok(rebuilt(&returned, &outputs))
}

/// Calls a function whose gradient `backward` computes: [`mlx::custom_function`] over a structure.
///
/// `backward` takes the structure, the cotangents of the outputs and the outputs, and returns a cotangent for each array of the
/// structure, of which those of trainable arrays count. Arrays that the functions capture are constants.
///
/// ```
/// use grad_runtime::{mlx::Array, params};
///
/// // A gradient that is limited on its way back.
/// let limited = |x: &Array| params::custom(
///     |x: &Array| x.multiply(10.0),
///     |_x, cotangent: &Array, _output| cotangent.multiply(10.0)?.clip(-1.0, 1.0),
///     x,
/// );
/// let gradient = params::grad(limited, &Array::scalar(3.0_f32)?)?;
/// assert_eq!(gradient.item::<f32>()?, 1.0);
/// # Ok::<(), grad_runtime::Error>(())
/// ```
///
/// # Errors
///
/// As [`mlx::CustomFunction::call`].
///
/// # Panics
///
/// If a function panics, with its payload.
#[track_caller]
pub fn custom<P, Q, F, B>(function: F, backward: B, params: &P) -> Result<Q>
where
    P: Params<Array> + 'static,
    Q: Params<Array> + 'static,
    F: Fn(&P) -> Result<Q> + 'static,
    B: Fn(&P, &Q, &Q) -> Result<P> + 'static,
{
    let (template, empty) = (Rc::new(emptied(params)?), placeholder()?);
    let returned = Rc::new(Returned::default());
    let called = mlx::custom_function({
        let (template, returned) = (Rc::clone(&template), Rc::clone(&returned));
        move |inputs| Ok(keep(&returned, &function(&constants_detached(&with_all(&*template, inputs)))?, &empty))
    });
    let called = called.vjp({
        let returned = Rc::clone(&returned);
        move |inputs, cotangents, outputs| {
            let (cotangents, outputs) = (rebuilt(&returned, cotangents), rebuilt(&returned, outputs));
            let given = constants_detached(&with_all(&*template, inputs));
            let derived = backward(&given, &cotangents, &outputs)?;
            // What is not trained has no gradient, whatever `backward` returned.
            let derived = given.try_map_with([&derived], |path, array, [cotangent]| {
                if path.is_trainable() { Ok(cotangent.clone()) } else { array.zeros_like() }
            })?;
            Ok(derived.arrays())
        }
    });
    let outputs = called.call(&params.arrays())?;
    Ok(rebuilt(&returned, &outputs))
}

/// Returns a structure whose arrays are constants where they are not trained.
fn constants_detached<P: Params<Array>>(params: &P) -> P {
    let Ok(detached) = params.try_map(|path, array| {
        Ok::<_, Infallible>(if path.is_trainable() { array.clone() } else { array.clone().detached() })
    });
    detached
}
