//! A tape autograd that obeys gradient-free scopes, plugged in both ways: as an engine that obeys the mode of [`Cpu`], and as
//! a [`Backend`] with a switch of its own.
//!
//! It depends on `grad-core` alone, as any engine can. Values are scalars for brevity; with arrays, recording is the same.

use std::cell::{Cell, RefCell};
use std::ops::{Add, Mul, Sub};

use grad_core::{Backend, Cpu, GradMode, not_recorded};

/// The leaves and operations recorded so far, in the order in which they ran.
///
/// ```
/// use grad_example_tape::Tape;
///
/// let tape = Tape::default();
/// let x = tape.var(3.0);
/// let square = {
///     let _guard = grad_core::no_grad();
///     x * x
/// };
/// let y = x * square;
/// assert_eq!(y.backward().wrt(x), 9.0); // x · x² with x² as a constant
/// ```
///
/// Why there is no gradient:
///
/// ```
/// use grad_core::{no_grad, take_not_recorded, watch_scopes};
/// use grad_example_tape::Tape;
///
/// let _watch = watch_scopes();
/// let tape = Tape::default();
/// let x = tape.var(3.0);
/// let guard = no_grad();
/// let square = x * x;
/// drop(guard);
/// assert_eq!(square.backward().wrt(x), 0.0);
/// let reasons: Vec<String> = take_not_recorded().iter().map(ToString::to_string).collect();
/// assert!(reasons[0].starts_with("multiply at "));
/// assert!(reasons[0].contains(": not recorded in no_grad at "));
/// ```
pub struct Tape {
    nodes: RefCell<Vec<Node>>,
    /// The backend whose mode this tape obeys.
    backend: &'static dyn Backend,
}

/// A recorded value: the node of each input that is not a constant, and the derivative with respect to it.
#[derive(Clone, Copy, Default)]
struct Node([Option<(usize, f64)>; 2]);

/// A number with its node on the tape, or a constant without one.
#[derive(Clone, Copy)]
pub struct Var<'t> {
    tape: &'t Tape,
    node: Option<usize>,
    value: f64,
}

impl Default for Tape {
    /// Returns a tape that obeys this thread's mode, which universal scopes and scopes on [`Cpu`] switch.
    fn default() -> Self {
        Self { nodes: RefCell::default(), backend: &Cpu }
    }
}

impl Tape {
    /// Returns a tape that obeys the switch of [`MyTape`].
    #[must_use]
    pub fn with_own_switch() -> Self {
        Self { nodes: RefCell::default(), backend: &MyTape }
    }

    /// Records a leaf of this value, which gradients can be computed with respect to.
    pub fn var(&self, value: f64) -> Var<'_> {
        Var { tape: self, node: Some(self.push(Node::default())), value }
    }

    /// Returns the number of leaves and operations recorded so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.borrow().len()
    }

    /// Returns whether nothing is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn push(&self, node: Node) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        nodes.len() - 1
    }

    /// Returns the result of an operation, from the node of each input and the derivative with respect to it. Every operation
    /// ends here, so this is the only place that reads the mode, and that tells an explanation what was not recorded.
    #[track_caller]
    fn record(&self, op: &'static str, value: f64, inputs: [(Option<usize>, f64); 2]) -> Var<'_> {
        let inputs = inputs.map(|(node, derivative)| Some((node?, derivative)));
        let depends_on_a_leaf = inputs.iter().any(Option::is_some);
        let node = if depends_on_a_leaf && self.backend.grad_mode().is_enabled() {
            Some(self.push(Node(inputs)))
        } else {
            if depends_on_a_leaf {
                not_recorded(self.backend, op);
            }
            None
        };
        Var { tape: self, node, value }
    }
}

impl Var<'_> {
    /// Returns the value.
    #[must_use]
    pub fn value(self) -> f64 {
        self.value
    }

    /// Returns whether a backward pass from this value reaches a leaf.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        self.node.is_some()
    }

    /// Computes the exponential.
    #[must_use]
    #[track_caller]
    pub fn exp(self) -> Self {
        let exp = self.value.exp();
        self.tape.record("exp", exp, [(self.node, exp), (None, 0.0)])
    }

    /// Computes the derivatives of this value with respect to everything on the tape, in one pass from its end to its start.
    #[must_use]
    pub fn backward(self) -> Gradients {
        let nodes = self.tape.nodes.borrow();
        let mut gradients = vec![0.0; nodes.len()];
        if let Some(output) = self.node {
            gradients[output] = 1.0;
            for (at, Node(inputs)) in nodes.iter().enumerate().take(output + 1).rev() {
                for (input, derivative) in inputs.iter().flatten() {
                    gradients[*input] += derivative * gradients[at];
                }
            }
        }
        Gradients(gradients)
    }
}

impl Add for Var<'_> {
    type Output = Self;

    #[track_caller]
    fn add(self, other: Self) -> Self {
        self.tape.record("add", self.value + other.value, [(self.node, 1.0), (other.node, 1.0)])
    }
}

impl Sub for Var<'_> {
    type Output = Self;

    #[track_caller]
    fn sub(self, other: Self) -> Self {
        self.tape.record("subtract", self.value - other.value, [(self.node, 1.0), (other.node, -1.0)])
    }
}

impl Mul for Var<'_> {
    type Output = Self;

    #[track_caller]
    fn mul(self, other: Self) -> Self {
        self.tape.record("multiply", self.value * other.value, [(self.node, other.value), (other.node, self.value)])
    }
}

/// The derivatives that a backward pass computed.
pub struct Gradients(Vec<f64>);

impl Gradients {
    /// Returns the derivative with respect to `var`, which is 0 if the output does not depend on it or if it is a constant.
    #[must_use]
    pub fn wrt(&self, var: Var<'_>) -> f64 {
        var.node.and_then(|node| self.0.get(node)).copied().unwrap_or(0.0)
    }
}

/// The switch of tapes made by [`Tape::with_own_switch`]. Scopes on `MyTape` switch it, and universal scopes too once it is
/// [installed](grad_core::install).
///
/// ```
/// use grad_core::Scope;
/// use grad_example_tape::{MyTape, Tape};
///
/// let tape = Tape::with_own_switch();
/// let x = tape.var(3.0);
/// let _guard = Scope::NoGrad.enter_for(&MyTape);
/// assert!(!(x * x).is_recorded());
/// ```
pub struct MyTape;

// Without a destructor, so scopes also work in the destructors of other thread-locals.
thread_local!(static MODE: Cell<GradMode> = const { Cell::new(GradMode::Enabled) });

impl Backend for MyTape {
    fn name(&self) -> &'static str {
        "my-tape"
    }

    fn grad_mode(&self) -> GradMode {
        MODE.get()
    }

    fn set_grad_mode(&self, mode: GradMode) {
        MODE.set(mode);
    }
}
