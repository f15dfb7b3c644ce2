//! The checks of an `Engine`.

use std::any::type_name;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;

use super::backend::others;
use super::guarantees::{self, Guarantee};
use super::violation::{Checked, Violation};
use grad_core::{Backend, Cpu, GradMode, ModeSnapshot, Scope, install};

/// An autograd engine as [`assert_engine`](super::assert_engine) uses it: one operation, and arrays to apply it to.
///
/// Implement it in your tests for a unit type, for a reference to your tape, or for a type that holds the operation:
///
/// ```
/// use std::rc::Rc;
/// use grad_runtime::{is_grad_enabled, testing};
///
/// /// A number that keeps the input of the operation that produced it.
/// #[derive(Clone)]
/// struct Number { value: f64, input: Option<Rc<Number>>, requires_grad: bool }
///
/// fn double(x: &Number) -> Number {
///     let recorded = x.requires_grad && is_grad_enabled();
///     let input = recorded.then(|| Rc::new(x.clone()));
///     Number { value: 2.0 * x.value, input, requires_grad: recorded }
/// }
///
/// struct Doubling;
/// impl testing::Engine for Doubling {
///     type Array = Number;
///     fn leaf(&self) -> Number { Number { value: 3.0, input: None, requires_grad: true } }
///     fn operation(&self, input: &Number) -> Number { double(input) }
///     fn is_recorded(&self, array: &Number) -> bool { array.input.is_some() }
///     fn values(&self, array: &Number) -> Vec<f64> { vec![array.value] }
/// }
///
/// // #[test]
/// fn doubling_obeys_scopes() {
///     testing::assert_engine(&Doubling);
/// }
/// # doubling_obeys_scopes();
/// ```
pub trait Engine {
    /// The type of inputs and results: an array, a tensor, a variable.
    type Array;

    /// Returns the backend whose mode the engine obeys. By default this is [`Cpu`], whose mode
    /// [`is_grad_enabled`](crate::is_grad_enabled) reads.
    fn backend(&self) -> &'static dyn Backend {
        &Cpu
    }

    /// Returns a new array that requires a gradient, always of the same values.
    fn leaf(&self) -> Self::Array;

    /// Applies a differentiable operation: always the same one, and one that accepts its own results.
    fn operation(&self, input: &Self::Array) -> Self::Array;

    /// Returns whether a backward pass from `array`, a result of the operation, reaches a leaf: PyTorch's `requires_grad`.
    fn is_recorded(&self, array: &Self::Array) -> bool;

    /// Returns the elements of `array`, which are compared bit for bit.
    fn values(&self, array: &Self::Array) -> Vec<f64>;
}

pub(super) fn check<E: Engine + ?Sized>(engine: &E) -> Checked {
    let own = engine.backend();
    // An error if it is installed already. If that is another backend of its name, the first universal scope shows it.
    let _ = install(own);
    let _without_the_callers_scopes = ModeSnapshot::all(GradMode::Enabled).enter();
    let checks = Checks { engine, own, without: engine.values(&engine.operation(&engine.leaf())) };
    checks.without_a_scope(guarantees::RECORDS_WITHOUT_A_SCOPE, "an operation on a leaf, in no scope")?;
    checks.scopes()?;
    checks.constants()?;
    checks.another_thread()?;
    checks.guards_out_of_order()?;
    checks.panic()
}

struct Checks<'a, E: ?Sized> {
    engine: &'a E,
    own: &'static dyn Backend,
    /// The values of the operation's result outside of any scope.
    without: Vec<f64>,
}

/// A scope, and its backend if it is a selective one.
type ScopeOn = (Scope, Option<&'static dyn Backend>);

impl<E: Engine + ?Sized> Checks<'_, E> {
    fn scopes(&self) -> Checked {
        use Scope::{EnableGrad, InferenceMode, NoGrad};
        let everywhere = |scope| (scope, None);
        let on = |scope, backend| (scope, Some(backend));

        self.inside(&[everywhere(NoGrad)], guarantees::RECORDS_NOTHING, false)?;
        self.inside(&[everywhere(InferenceMode(true))], guarantees::RECORDS_NOTHING, false)?;
        self.inside(&[on(NoGrad, self.own)], guarantees::OBEYS_ITS_BACKEND, false)?;
        for other in others(self.own) {
            self.inside(&[on(NoGrad, other)], guarantees::OBEYS_ITS_BACKEND, true)?;
            self.inside(&[everywhere(NoGrad), on(EnableGrad, other)], guarantees::OBEYS_ITS_BACKEND, false)?;
        }
        self.inside(&[everywhere(NoGrad), everywhere(EnableGrad)], guarantees::OBEYS_ENABLE_GRAD, true)?;
        self.inside(&[everywhere(NoGrad), on(EnableGrad, self.own)], guarantees::OBEYS_ENABLE_GRAD, true)?;
        self.inside(
            &[everywhere(InferenceMode(true)), everywhere(EnableGrad)],
            guarantees::OBEYS_ENABLE_GRAD,
            false,
        )?;
        self.inside(
            &[everywhere(InferenceMode(true)), everywhere(InferenceMode(false))],
            guarantees::OBEYS_ENABLE_GRAD,
            true,
        )
    }

    /// Applies the operation inside nested `scopes`, the outermost first, and again after they are left.
    fn inside(&self, scopes: &[ScopeOn], guarantee: &'static Guarantee, recorded: bool) -> Checked {
        let leaf = self.engine.leaf();
        let mut guards: Vec<_> =
            scopes.iter().map(|&(scope, on)| on.map_or_else(|| scope.enter(), |on| scope.enter_for(on))).collect();
        let output = self.engine.operation(&leaf);
        while guards.pop().is_some() {} // The innermost first; `Vec` drops the outermost first.
        let place = scopes.iter().rev().map(describe).collect::<Vec<_>>().join(" inside ");
        self.recorded(guarantee, recorded, &output, format_args!("an operation on a leaf, in {place}"))?;
        self.same_values(&output, format_args!("an operation on a leaf, in {place}"))?;
        self.without_a_scope(
            guarantees::OBEYS_THE_INNERMOST,
            format_args!("an operation on a leaf, after {place} was left"),
        )
    }

    fn constants(&self) -> Checked {
        let engine = self.engine;
        let before = engine.operation(&engine.leaf());
        let (constant, of_recorded) = {
            let _guard = Scope::NoGrad.enter();
            (engine.operation(&engine.leaf()), engine.operation(&before))
        };
        let steps = "an operation in `no_grad`, on a result recorded before";
        self.recorded(guarantees::RECORDS_NOTHING, false, &of_recorded, steps)?;
        let steps = "an operation in no scope, on the result of an operation in `no_grad`";
        self.recorded(guarantees::STAYS_CONSTANT, false, &engine.operation(&constant), steps)?;
        let steps = "an operation in no scope, with a `no_grad` entered and left after it";
        self.recorded(guarantees::STAYS_RECORDED, true, &before, steps)
    }

    fn another_thread(&self) -> Checked {
        let (entered, is_entered) = mpsc::channel();
        let (finish, is_finished) = mpsc::channel::<()>();
        thread::scope(|threads| {
            threads.spawn(move || {
                let _guard = Scope::NoGrad.enter();
                let _ = entered.send(());
                let _ = is_finished.recv(); // An error, since nothing is sent: the sender is dropped.
            });
            let _ = is_entered.recv();
            let steps = "an operation on a leaf, in no scope, while another thread was in `no_grad`";
            let outcome = self.without_a_scope(guarantees::OBEYS_ITS_THREAD, steps);
            drop(finish);
            outcome
        })
    }

    fn guards_out_of_order(&self) -> Checked {
        let leaf = self.engine.leaf();
        let (outer, inner) = (Scope::EnableGrad.enter(), Scope::NoGrad.enter());
        drop(outer);
        let output = self.engine.operation(&leaf);
        drop(inner);
        let steps = "an operation in `no_grad` inside `enable_grad`, after the outer guard was dropped";
        self.recorded(guarantees::OBEYS_THE_INNERMOST, false, &output, steps)?;
        let steps = "an operation on a leaf, after both guards were dropped, the outer one first";
        self.without_a_scope(guarantees::OBEYS_THE_INNERMOST, steps)
    }

    fn panic(&self) -> Checked {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guard = Scope::NoGrad.enter();
            resume_unwind(Box::new("on purpose")); // Unlike `panic!`, prints nothing.
        }));
        debug_assert!(panicked.is_err());
        self.without_a_scope(guarantees::OBEYS_THE_INNERMOST, "an operation on a leaf, after a panic in `no_grad`")
    }

    fn without_a_scope(&self, guarantee: &'static Guarantee, steps: impl Display) -> Checked {
        self.recorded(guarantee, true, &self.engine.operation(&self.engine.leaf()), steps)
    }

    fn recorded(
        &self,
        guarantee: &'static Guarantee,
        expected: bool,
        output: &E::Array,
        steps: impl Display,
    ) -> Checked {
        let found = self.engine.is_recorded(output);
        if found == expected {
            return Ok(());
        }
        let word = |recorded| if recorded { "a recorded result" } else { "a constant" };
        Err(self.violation(guarantee, steps, word(expected), word(found)))
    }

    fn same_values(&self, output: &E::Array, steps: impl Display) -> Checked {
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let found = self.engine.values(output);
        if bits(&found) == bits(&self.without) {
            return Ok(());
        }
        let expected = format!("{:?}, as in no scope", self.without);
        Err(self.violation(guarantees::SAME_VALUE, steps, expected, format_args!("{found:?}")))
    }

    fn violation(
        &self,
        guarantee: &'static Guarantee,
        steps: impl Display,
        expected: impl Display,
        found: impl Display,
    ) -> Violation {
        Violation {
            subject: format!("engine `{}` on backend `{}`", type_name::<E>(), self.own.name()),
            guarantee,
            steps: steps.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

fn describe(&(scope, on): &ScopeOn) -> String {
    on.map_or_else(|| format!("a universal `{scope}`"), |on| format!("`{scope}` on backend `{}`", on.name()))
}
