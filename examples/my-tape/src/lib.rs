//! A tape autograd of one's own, plugged in both ways: as an engine that asks `is_grad_enabled()`, and as a backend with
//! a switch of its own. Scalars, to keep it short; with arrays, nothing about recording changes.

use std::cell::{Cell, RefCell};
use std::ops::{Add, Mul, Sub};

use grad_runtime::{Backend, GradMode, is_grad_enabled};

/// The operations recorded so far, in the order in which they ran.
pub struct Tape {
    nodes: RefCell<Vec<Node>>,
    /// The one question: is the result of this operation to be recorded?
    recording: fn() -> bool,
}

/// How a recorded value depends on its inputs: the place of each on the tape, and the derivative by it.
#[derive(Clone, Copy, Default)]
struct Node([Option<(usize, f64)>; 2]);

/// A number, and its place on the tape unless it is a constant.
#[derive(Clone, Copy)]
pub struct Var<'t> {
    tape: &'t Tape,
    at: Option<usize>,
    value: f64,
}

impl Default for Tape {
    /// A tape that obeys the thread's own mode, as every scope on all backends or on `Cpu` switches it: the first way to
    /// plug in, and all that most engines need.
    fn default() -> Self {
        Self { nodes: RefCell::default(), recording: is_grad_enabled }
    }
}

impl Tape {
    /// A tape that obeys [`MyTape`]'s switch: the second way.
    #[must_use]
    pub fn with_its_own_switch() -> Self {
        Self { nodes: RefCell::default(), recording: || MyTape.grad_mode().is_enabled() }
    }

    /// A variable: a leaf, whose gradient [`Gradients`] will know.
    pub fn var(&self, value: f64) -> Var<'_> {
        Var { tape: self, at: Some(self.push(Node::default())), value }
    }

    /// How many leaves and operations are recorded.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.nodes.borrow().len()
    }

    fn push(&self, node: Node) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        nodes.len() - 1
    }

    /// The one place where operations hand out their results, from each input and the derivative by it.
    fn hand_out(&self, value: f64, inputs: [(Option<usize>, f64); 2]) -> Var<'_> {
        let inputs = inputs.map(|(at, derivative)| Some((at?, derivative)));
        let recorded = inputs.iter().any(Option::is_some) && (self.recording)();
        Var { tape: self, at: recorded.then(|| self.push(Node(inputs))), value }
    }
}

impl Var<'_> {
    /// Its value.
    #[must_use]
    pub fn value(self) -> f64 {
        self.value
    }

    /// Whether a backward pass from it reaches a leaf.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        self.at.is_some()
    }

    /// Its exponential.
    #[must_use]
    pub fn exp(self) -> Self {
        let exp = self.value.exp();
        self.tape.hand_out(exp, [(self.at, exp), (None, 0.0)])
    }

    /// The gradient of this by everything that it was made of: one walk back along the tape.
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
        self.tape.hand_out(self.value + other.value, [(self.at, 1.0), (other.at, 1.0)])
    }
}

impl Sub for Var<'_> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.tape.hand_out(self.value - other.value, [(self.at, 1.0), (other.at, -1.0)])
    }
}

impl Mul for Var<'_> {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.tape.hand_out(self.value * other.value, [(self.at, other.value), (other.at, self.value)])
    }
}

/// What a backward pass found.
pub struct Gradients(Vec<f64>);

impl Gradients {
    /// The gradient by `var`: 0 by what the result does not depend on, constants included.
    #[must_use]
    pub fn of(&self, var: Var<'_>) -> f64 {
        var.at.and_then(|at| self.0.get(at)).copied().unwrap_or(0.0)
    }
}

/// The switch of tapes that have one: a backend like any other once it is [installed](grad_runtime::install).
pub struct MyTape;

// No destructor, so that scopes work while a thread is torn down.
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
