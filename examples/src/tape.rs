//! A tape autograd engine that obeys scopes in both ways: it calls `is_grad_enabled()`, or it has a switch of its own and a
//! backend for it. It computes with scalars to stay short; arrays would be recorded in the same way.

use std::cell::{Cell, RefCell};
use std::ops::{Add, Mul, Sub};

use grad_runtime::{Backend, GradMode, is_grad_enabled};

/// A tape: the operations recorded so far, in the order in which they ran.
pub struct Tape {
    nodes: RefCell<Vec<Node>>,
    /// Returns whether operations are recorded. Queried once per operation.
    recording: fn() -> bool,
}

/// For each input of an operation: its position on the tape, and the derivative with respect to it.
#[derive(Clone, Copy, Default)]
struct Node([Option<(usize, f64)>; 2]);

/// A number, with its position on the tape unless it is a constant.
#[derive(Clone, Copy)]
pub struct Var<'t> {
    tape: &'t Tape,
    at: Option<usize>,
    value: f64,
}

impl Default for Tape {
    /// Makes a tape that obeys this thread's mode, which universal scopes and scopes on `Cpu` switch. Most engines need no
    /// more than this.
    fn default() -> Self {
        Self { nodes: RefCell::default(), recording: is_grad_enabled }
    }
}

impl Tape {
    /// Makes a tape that obeys the switch of [`MyTape`].
    #[must_use]
    pub fn with_its_own_switch() -> Self {
        Self { nodes: RefCell::default(), recording: || MyTape.grad_mode().is_enabled() }
    }

    /// Makes a leaf: a variable whose gradient [`Gradients`] contains.
    pub fn var(&self, value: f64) -> Var<'_> {
        Var { tape: self, at: Some(self.push(Node::default())), value }
    }

    /// Returns the number of recorded leaves and operations.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.nodes.borrow().len()
    }

    fn push(&self, node: Node) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        nodes.len() - 1
    }

    /// Makes the result of an operation from its inputs and the derivatives with respect to them. Every operation ends here.
    fn finish_output(&self, value: f64, inputs: [(Option<usize>, f64); 2]) -> Var<'_> {
        let inputs = inputs.map(|(at, derivative)| Some((at?, derivative)));
        let recorded = inputs.iter().any(Option::is_some) && (self.recording)();
        Var { tape: self, at: recorded.then(|| self.push(Node(inputs))), value }
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
        self.at.is_some()
    }

    /// Computes the exponential.
    #[must_use]
    pub fn exp(self) -> Self {
        let exp = self.value.exp();
        self.tape.finish_output(exp, [(self.at, exp), (None, 0.0)])
    }

    /// Computes the gradient of this value with respect to all its inputs, in one pass back along the tape.
    #[must_use]
    pub fn backward(self) -> Gradients {
        let nodes = self.tape.nodes.borrow();
        let mut gradients = vec![0.0; nodes.len()];
        if let Some(at) = self.at {
            gradients[at] = 1.0;
            for (place, Node(inputs)) in nodes.iter().enumerate().take(at + 1).rev() {
                for (input, derivative) in inputs.iter().flatten() {
                    gradients[*input] += derivative * gradients[place];
                }
            }
        }
        Gradients(gradients)
    }
}

impl Add for Var<'_> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.tape.finish_output(self.value + other.value, [(self.at, 1.0), (other.at, 1.0)])
    }
}

impl Sub for Var<'_> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.tape.finish_output(self.value - other.value, [(self.at, 1.0), (other.at, -1.0)])
    }
}

impl Mul for Var<'_> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.tape.finish_output(self.value * other.value, [(self.at, other.value), (other.at, self.value)])
    }
}

/// The result of a backward pass.
pub struct Gradients(Vec<f64>);

impl Gradients {
    /// Returns the gradient with respect to `var`: 0 if the result does not depend on it, or if it is a constant.
    #[must_use]
    pub fn of(&self, var: Var<'_>) -> f64 {
        var.at.and_then(|at| self.0.get(at)).copied().unwrap_or(0.0)
    }
}

/// The switch of tapes made with [`Tape::with_its_own_switch`]. Universal scopes switch it once it is
/// [installed](grad_runtime::install).
pub struct MyTape;

// It has no destructor, so scopes also work while a thread exits.
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
