//! What an engine's operations show of the law.

use std::any::type_name;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;

use super::backend::others;
use super::rules::{self, Rule};
use super::violation::{Checked, Violation, name_of};
use grad_core::ModeSnapshot;
use grad_core::{Backend, Cpu, install};
use grad_core::{GradMode, Scope};

/// An autograd engine, as far as [`assert_engine`](super::assert_engine) must know it: how to make an array that requires
/// a gradient, one operation on it, and what came of that.
///
/// Implement it in your tests, on a unit type, on a reference to your tape, or on a type that holds the operation:
///
/// ```
/// use std::rc::Rc;
/// use grad_runtime::{is_grad_enabled, testing};
///
/// /// A number that remembers what it was made of.
/// #[derive(Clone)]
/// struct Number { value: f64, made_of: Option<Rc<Number>>, requires_grad: bool }
///
/// fn double(x: &Number) -> Number {
///     let recorded = x.requires_grad && is_grad_enabled(); // The one question.
///     let made_of = recorded.then(|| Rc::new(x.clone()));
///     Number { value: 2.0 * x.value, made_of, requires_grad: recorded }
/// }
///
/// struct Doubling;
/// impl testing::Engine for Doubling {
///     type Array = Number;
///     fn leaf(&self) -> Number { Number { value: 3.0, made_of: None, requires_grad: true } }
///     fn operation(&self, input: &Number) -> Number { double(input) }
///     fn is_recorded(&self, array: &Number) -> bool { array.made_of.is_some() }
///     fn values(&self, array: &Number) -> Vec<f64> { vec![array.value] }
/// }
///
/// // #[test]
/// fn records_where_it_should() {
///     testing::assert_engine(&Doubling);
/// }
/// # records_where_it_should();
/// ```
pub trait Engine {
    /// What operations take and make: an array, a tensor, a variable.
    type Array;

    /// The backend whose mode the engine obeys: [`Cpu`] for one that asks
    /// [`is_grad_enabled`](crate::is_grad_enabled), or one with a switch of its own.
    fn backend(&self) -> &'static dyn Backend {
        &Cpu
    }

    /// A new array that requires a gradient.
    fn leaf(&self) -> Self::Array;

    /// A differentiable operation, the same whenever it is called, whose result can be its input in turn.
    fn operation(&self, input: &Self::Array) -> Self::Array;

    /// Whether a backward pass from this result of an operation reaches a leaf: PyTorch's `requires_grad`.
    fn is_recorded(&self, array: &Self::Array) -> bool;

    /// The array's elements, compared bit for bit.
    fn values(&self, array: &Self::Array) -> Vec<f64>;
}

pub(super) fn check<E: Engine + ?Sized>(engine: &E) -> Checked {
    let own = engine.backend();
    // Installed already, perhaps. If that is another of its name, the first universal scope tells.
    let _ = install(own);
    let _callers_scopes_set_aside = ModeSnapshot::all(GradMode::Enabled).enter();
    let checks = Checks { engine, own, without: engine.values(&engine.operation(&engine.leaf())) };
    checks.without_a_scope(rules::RECORDS_WITHOUT_A_SCOPE, "an operation on a leaf, in no scope")?;
    checks.scopes()?;
    checks.what_comes_of_constants()?;
    checks.another_thread()?;
    checks.guards_out_of_order()?;
    checks.panic()
}

struct Checks<'a, E: ?Sized> {
    engine: &'a E,
    own: &'static dyn Backend,
    /// The values of the operation's result where no scope was in force.
    without: Vec<f64>,
}

/// A scope, and the backend that it is on, or all.
type Entered = (Scope, Option<&'static dyn Backend>);

impl<E: Engine + ?Sized> Checks<'_, E> {
    fn scopes(&self) -> Checked {
        use Scope::{EnableGrad, InferenceMode, NoGrad};
        let everywhere = |scope| (scope, None);
        let on = |scope, backend| (scope, Some(backend));

        self.inside(&[everywhere(NoGrad)], rules::RECORDS_NOTHING, false)?;
        self.inside(&[everywhere(InferenceMode(true))], rules::RECORDS_NOTHING, false)?;
        self.inside(&[on(NoGrad, self.own)], rules::OBEYS_ITS_BACKEND, false)?;
        for other in others(self.own) {
            self.inside(&[on(NoGrad, other)], rules::OBEYS_ITS_BACKEND, true)?;
            self.inside(&[everywhere(NoGrad), on(EnableGrad, other)], rules::OBEYS_ITS_BACKEND, false)?;
        }
        self.inside(&[everywhere(NoGrad), everywhere(EnableGrad)], rules::OBEYS_ENABLE_GRAD, true)?;
        self.inside(&[everywhere(NoGrad), on(EnableGrad, self.own)], rules::OBEYS_ENABLE_GRAD, true)?;
        self.inside(&[everywhere(InferenceMode(true)), everywhere(EnableGrad)], rules::OBEYS_ENABLE_GRAD, false)?;
        self.inside(
            &[everywhere(InferenceMode(true)), everywhere(InferenceMode(false))],
            rules::OBEYS_ENABLE_GRAD,
            true,
        )
    }

    /// An operation inside these scopes, each in the one before it, and another after they were left.
    fn inside(&self, scopes: &[Entered], rule: &'static Rule, recorded: bool) -> Checked {
        let leaf = self.engine.leaf();
        let mut guards: Vec<_> =
            scopes.iter().map(|&(scope, on)| on.map_or_else(|| scope.enter(), |on| scope.enter_for(on))).collect();
        let output = self.engine.operation(&leaf);
        while guards.pop().is_some() {} // The innermost first, as blocks do.
        let place = scopes.iter().rev().map(described).collect::<Vec<_>>().join(" inside ");
        self.recorded(rule, recorded, &output, format_args!("an operation on a leaf, in {place}"))?;
        self.same_values(&output, format_args!("an operation on a leaf, in {place}"))?;
        self.without_a_scope(
            rules::OBEYS_THE_INNERMOST,
            format_args!("an operation on a leaf, after {place} was left"),
        )
    }

    fn what_comes_of_constants(&self) -> Checked {
        let engine = self.engine;
        let before = engine.operation(&engine.leaf());
        let (constant, of_recorded) = {
            let _guard = Scope::NoGrad.enter();
            (engine.operation(&engine.leaf()), engine.operation(&before))
        };
        let done = "an operation in `no_grad`, on what was recorded before";
        self.recorded(rules::RECORDS_NOTHING, false, &of_recorded, done)?;
        let done = "an operation in no scope, on what an operation in `no_grad` had made";
        self.recorded(rules::A_CONSTANT_LATER_TOO, false, &engine.operation(&constant), done)?;
        let done = "an operation in no scope, asked about after a `no_grad` had been entered and left";
        self.recorded(rules::WHAT_WAS_RECORDED_STAYS, true, &before, done)
    }

    fn another_thread(&self) -> Checked {
        let (entered, is_entered) = mpsc::channel();
        let (finish, is_finished) = mpsc::channel::<()>();
        thread::scope(|threads| {
            threads.spawn(move || {
                let _guard = Scope::NoGrad.enter();
                let _ = entered.send(());
                let _ = is_finished.recv(); // An error, too, says that the other side is done.
            });
            let _ = is_entered.recv();
            let done = "an operation on a leaf, in no scope, while another thread was in `no_grad`";
            let outcome = self.without_a_scope(rules::OBEYS_ITS_THREAD, done);
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
        let done = "an operation in `no_grad` inside `enable_grad`, after the outer guard was dropped";
        self.recorded(rules::OBEYS_THE_INNERMOST, false, &output, done)?;
        let done = "an operation on a leaf, after both guards were dropped, the outer one first";
        self.without_a_scope(rules::OBEYS_THE_INNERMOST, done)
    }

    fn panic(&self) -> Checked {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guard = Scope::NoGrad.enter();
            resume_unwind(Box::new("on purpose")); // Says nothing on stderr.
        }));
        debug_assert!(panicked.is_err());
        self.without_a_scope(rules::OBEYS_THE_INNERMOST, "an operation on a leaf, after a panic in `no_grad`")
    }

    fn without_a_scope(&self, rule: &'static Rule, done: impl Display) -> Checked {
        self.recorded(rule, true, &self.engine.operation(&self.engine.leaf()), done)
    }

    fn recorded(&self, rule: &'static Rule, expected: bool, output: &E::Array, done: impl Display) -> Checked {
        let found = self.engine.is_recorded(output);
        if found == expected {
            return Ok(());
        }
        let word = |recorded| if recorded { "a recorded result" } else { "a constant" };
        Err(self.violation(rule, done, word(expected), word(found)))
    }

    fn same_values(&self, output: &E::Array, done: impl Display) -> Checked {
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let found = self.engine.values(output);
        if bits(&found) == bits(&self.without) {
            return Ok(());
        }
        let expected = format!("{:?}, as in no scope", self.without);
        Err(self.violation(rules::SAME_VALUE, done, expected, format_args!("{found:?}")))
    }

    fn violation(
        &self,
        rule: &'static Rule,
        done: impl Display,
        expected: impl Display,
        found: impl Display,
    ) -> Violation {
        Violation {
            subject: format!("engine `{}` on backend `{}`", type_name::<E>(), self.own.name()),
            rule,
            done: done.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

fn described(&(scope, on): &Entered) -> String {
    let name = name_of(scope);
    on.map_or_else(|| format!("a universal {name}"), |on| format!("{name} on backend `{}`", on.name()))
}
