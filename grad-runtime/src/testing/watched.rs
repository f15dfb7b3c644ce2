//! A backend under observation: what it does out of turn is noted, and a panic goes no further.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use super::rules::{NAME_THAT_LASTS, NEVER_PANICS, Rule};
use super::violation::{Checked, Violation};
use grad_core::__private::Slot;
use grad_core::Backend;
use grad_core::GradMode;

use GradMode::{Enabled, Inference, NoGrad};

/// Stands between the checks' scopes and the backend. Without it, a panic in the wrong place (a guard dropped while its
/// thread unwinds or is torn down) would end the process before anybody could say why.
pub(super) struct Watched {
    backend: &'static dyn Backend,
    name: &'static str,
    /// The first thing that went wrong in a call, on whichever thread.
    noted: Mutex<Option<Violation>>,
}

impl Watched {
    /// Lasts for the rest of the process, as a backend must.
    pub fn new(backend: &'static dyn Backend, name: &'static str) -> &'static Self {
        Box::leak(Box::new(Self { backend, name, noted: Mutex::new(None) }))
    }

    /// Takes what was noted. A panic is told with `situation`, the place where the checks were, and its rule.
    pub fn noted(&self, situation: &str, of_panics: &'static Rule) -> Checked {
        let Some(mut noted) = self.noted.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        if noted.rule == NEVER_PANICS {
            noted.rule = of_panics;
        }
        noted.done = format!("{} {situation}", noted.done);
        Err(noted)
    }

    /// Fails unless `expected` is in force. For `Inference`, `NoGrad` is as good.
    pub fn expect(&self, rule: &'static Rule, expected: GradMode, done: impl Display) -> Checked {
        self.agrees(rule, expected, self.grad_mode(), done)
    }

    /// The same, where the backend has been asked.
    pub fn agrees(&self, rule: &'static Rule, expected: GradMode, found: GradMode, done: impl Display) -> Checked {
        if expected == Inference && found == NoGrad {
            return Ok(());
        }
        self.same(rule, expected, found, done)
    }

    /// Fails unless `expected`, which this backend reported before, is in force.
    pub fn expect_again(&self, rule: &'static Rule, expected: GradMode, done: impl Display) -> Checked {
        self.same(rule, expected, self.grad_mode(), done)
    }

    fn same(&self, rule: &'static Rule, expected: GradMode, found: GradMode, done: impl Display) -> Checked {
        if found == expected {
            return Ok(());
        }
        let expected = match expected {
            Enabled => "Enabled",
            NoGrad => "NoGrad",
            Inference => "Inference, or NoGrad from a backend without an inference mode",
        };
        Err(self.violation(rule, done, expected, format!("{found:?}")))
    }

    pub fn violation(
        &self,
        rule: &'static Rule,
        done: impl Display,
        expected: impl Display,
        found: impl Display,
    ) -> Violation {
        Violation {
            subject: format!("backend `{}`", self.name),
            rule,
            done: done.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    fn note(&self, violation: Violation) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(violation);
    }

    /// The call's result, or `None` if it panicked.
    fn call<T>(&self, name: impl Display, call: impl FnOnce() -> T) -> Option<T> {
        // Nobody looks at the backend through what a panic may have left broken: it is reported, and the checks end.
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(result) => Some(result),
            Err(payload) => {
                let found = format!("a panic: {}", message(&*payload));
                self.note(self.violation(NEVER_PANICS, format_args!("`{name}`"), "no panic", found));
                None
            }
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&'static str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

impl Backend for Watched {
    fn name(&self) -> &'static str {
        if let Some(name) = self.call("name()", || self.backend.name())
            && name != self.name
        {
            let expected = format!("`{}`, as before", self.name);
            self.note(self.violation(NAME_THAT_LASTS, "`name()`", expected, format!("`{name}`")));
        }
        self.name
    }

    fn grad_mode(&self) -> GradMode {
        self.call("grad_mode()", || self.backend.grad_mode()).unwrap_or_default()
    }

    fn set_grad_mode(&self, mode: GradMode) {
        self.call(format!("set_grad_mode({mode:?})"), || self.backend.set_grad_mode(mode));
    }

    fn slot(&self) -> Option<Slot> {
        self.backend.slot()
    }
}
