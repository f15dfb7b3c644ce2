//! Functions of structures that are traced once, on backends that compile.

use std::cell::RefCell;
use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};
use std::rc::Rc;

use super::gradient::with_all;
use super::returned::{Returned, emptied, keep, placeholder, rebuilt};
use super::{Params, Path, Role};
use crate::array::Array;
use crate::dtype::Dtype;
use crate::error::Result;
use grad_core::ModeSnapshot;

/// Returns a function that a backend compiles: it is traced once and then runs without its Rust code, as `mlx::compile` does it. The CPU
/// fallback does not compile, and runs the function in each call, so generic code has the same results on both.
///
/// The function is traced anew for other paths, roles, shapes, dtypes, grad modes and values other than arrays
/// ([`Params::hash_values`]), such as the learning rate of an optimizer: pass what changes in each step as an array. Values in fields
/// marked `#[params(skip)]`, and what the function captures, are those of the trace.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// # use grad_runtime::cpu::Array;
/// use grad_runtime::params;
///
/// // A whole training step: gradients and update in one compiled function.
/// let step = params::compile(|(weight, x): &(Array, Array)| {
///     let gradient = params::grad(|weight: &Array| weight.multiply(x)?.square(), weight)?;
///     weight.subtract(gradient.multiply(0.125)?)
/// });
/// let (mut weight, x) = (Array::scalar(2.0_f32)?, Array::scalar(1.0_f32)?);
/// for _ in 0..3 {
///     weight = step.call(&(weight, x.clone()))?;
/// }
/// assert_eq!(weight.item::<f32>()?, 0.84375);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub fn compile<A, P, Q, F>(function: F) -> CompiledFunction<P, Q>
where
    A: Array,
    P: Params<A> + 'static,
    Q: Params<A> + 'static,
    F: Fn(&P) -> Result<Q> + 'static,
{
    let Some(compile) = A::compiler() else {
        return CompiledFunction { call: Box::new(function) };
    };
    let traces = Traces { function: Rc::new(function), compile, known: RefCell::default() };
    CompiledFunction { call: Box::new(move |params| traces.call(params)) }
}

/// A compiled function of structures, which [`compile`] returns. It stays on its thread.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// # use grad_runtime::cpu::Array;
/// use grad_runtime::params::{self, CompiledFunction};
///
/// struct Doubler {
///     double: CompiledFunction<Array, Array>,
/// }
///
/// let doubler = Doubler { double: params::compile(|x: &Array| x.multiply(2.0)) };
/// assert_eq!(doubler.double.call(&Array::scalar(3.0_f32)?)?.item::<f32>()?, 6.0);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
pub struct CompiledFunction<P, Q> {
    call: Box<Function<P, Q>>,
}

type Function<P, Q> = dyn Fn(&P) -> Result<Q>;

impl<P, Q> CompiledFunction<P, Q> {
    /// Calls the function, which is traced if it was not yet for such inputs.
    ///
    /// ```
    /// # #[cfg(feature = "cpu")] {
    /// # use grad_runtime::cpu::Array;
    /// use grad_runtime::params;
    ///
    /// let sum = params::compile(|xs: &Vec<Array>| xs[0].add(&xs[1]));
    /// let (one, two) = (Array::scalar(1.0_f32)?, Array::scalar(2.0_f32)?);
    /// assert_eq!(sum.call(&vec![one, two])?.item::<f32>()?, 3.0);
    /// # }
    /// # Ok::<(), grad_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the error of the function; [`Error::Operation`](crate::Error::Operation) if it cannot be compiled, for example because it
    /// reads elements.
    ///
    /// # Panics
    ///
    /// If the function panics, with its payload.
    pub fn call(&self, params: &P) -> Result<Q> {
        (self.call)(params)
    }
}

impl<P, Q> fmt::Debug for CompiledFunction<P, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledFunction").finish_non_exhaustive()
    }
}

/// A function of arrays.
pub type ArraysFn<A> = dyn Fn(&[A]) -> Result<Vec<A>>;

/// What compiles a function of arrays.
pub type Compiler<A> = fn(Box<ArraysFn<A>>) -> Box<ArraysFn<A>>;

/// A function of structures, and its traces.
struct Traces<A: Array, P, Q> {
    function: Rc<Function<P, Q>>,
    compile: Compiler<A>,
    known: RefCell<Vec<Rc<Trace<A, Q>>>>,
}

/// A function as it was traced for inputs of one kind.
struct Trace<A: Array, Q> {
    kind: Kind,
    compiled: Box<ArraysFn<A>>,
    returned: Rc<Returned<Q>>,
}

/// What inputs must have in common to be given to the same trace.
#[derive(PartialEq)]
struct Kind {
    arrays: Vec<(String, Role, Vec<usize>, Dtype)>,
    /// A hash of the values other than arrays.
    values: u64,
    modes: ModeSnapshot,
}

impl Kind {
    fn of<A: Array>(params: &impl Params<A>) -> Self {
        let mut arrays = Vec::new();
        params.visit_arrays(&Path::root(), &mut |path, array| {
            arrays.push((path.to_string(), path.role(), array.shape(), array.dtype()));
        });
        let mut hasher = DefaultHasher::new();
        params.hash_values(&mut hasher);
        Self { arrays, values: hasher.finish(), modes: ModeSnapshot::current() }
    }
}

impl<A: Array, P: Params<A> + 'static, Q: Params<A> + 'static> Traces<A, P, Q> {
    fn call(&self, params: &P) -> Result<Q> {
        let trace = self.trace(params)?;
        let outputs = (trace.compiled)(&params.arrays())?;
        Ok(rebuilt(&trace.returned, &outputs))
    }

    fn trace(&self, params: &P) -> Result<Rc<Trace<A, Q>>> {
        let kind = Kind::of(params);
        if let Some(trace) = self.known.borrow().iter().find(|trace| trace.kind == kind) {
            return Ok(Rc::clone(trace));
        }
        let (function, template) = (Rc::clone(&self.function), emptied(params)?);
        let (returned, empty) = (Rc::new(Returned::default()), placeholder()?);
        let compiled = (self.compile)(Box::new({
            let returned = Rc::clone(&returned);
            move |inputs| Ok(keep(&returned, &function(&with_all(&template, inputs))?, &empty))
        }));
        let trace = Rc::new(Trace { kind, compiled, returned });
        self.known.borrow_mut().push(Rc::clone(&trace));
        Ok(trace)
    }
}
