//! A backend whose calls are monitored: panics are caught, and the first violation is stored.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::guarantees::{CONSTANT_NAME, Guarantee, NEVER_PANICS};
use super::violation::{Checked, Violation};
use grad_core::__private::Slot;
use grad_core::{Backend, GradMode};

use GradMode::{Enabled, Inference, NoGrad};

/// Stands between the scopes of the checks and the backend. Without it, a panic of the backend where a guard is dropped
/// during unwinding or thread teardown would end the process before it could be reported.
pub(super) struct Monitored {
    backend: &'static dyn Backend,
    name: &'static str,
    /// The first violation seen in a call, on any thread.
    violation: Mutex<Option<Violation>>,
}

impl Monitored {
    /// Returns a monitored `backend` that lives for the rest of the process, as backends must.
    pub fn new(backend: &'static dyn Backend, name: &'static str) -> &'static Self {
        Box::leak(Box::new(Self { backend, name, violation: Mutex::new(None) }))
    }

    /// Fails with the stored violation, if there is one. `situation` completes the steps: it says where the call was made.
    /// A panic there violates `panic_guarantee`.
    pub fn take_violation(&self, situation: &str, panic_guarantee: &'static Guarantee) -> Checked {
        let Some(mut violation) = self.stored().take() else {
            return Ok(());
        };
        if violation.guarantee == NEVER_PANICS {
            violation.guarantee = panic_guarantee;
        }
        violation.steps = format!("{} {situation}", violation.steps);
        Err(violation)
    }

    /// Fails unless the backend reports `expected`, or `NoGrad` where `Inference` is expected.
    pub fn expect(&self, guarantee: &'static Guarantee, expected: GradMode, steps: impl Display) -> Checked {
        self.compare(guarantee, expected, self.grad_mode(), steps)
    }

    /// Fails unless `found`, which the backend reported, is `expected`, or `NoGrad` where `Inference` is expected.
    pub fn compare(
        &self,
        guarantee: &'static Guarantee,
        expected: GradMode,
        found: GradMode,
        steps: impl Display,
    ) -> Checked {
        if expected == Inference && found == NoGrad {
            return Ok(());
        }
        self.compare_exactly(guarantee, expected, found, steps)
    }

    /// Fails unless the backend reports `before` again, a mode that it reported earlier.
    pub fn expect_again(&self, guarantee: &'static Guarantee, before: GradMode, steps: impl Display) -> Checked {
        self.compare_exactly(guarantee, before, self.grad_mode(), steps)
    }

    fn compare_exactly(
        &self,
        guarantee: &'static Guarantee,
        expected: GradMode,
        found: GradMode,
        steps: impl Display,
    ) -> Checked {
        if found == expected {
            return Ok(());
        }
        let expected = match expected {
            Enabled => "Enabled",
            NoGrad => "NoGrad",
            Inference => "Inference, or NoGrad from a backend without an inference mode",
        };
        Err(self.violation(guarantee, steps, expected, format!("{found:?}")))
    }

    pub fn violation(
        &self,
        guarantee: &'static Guarantee,
        steps: impl Display,
        expected: impl Display,
        found: impl Display,
    ) -> Violation {
        Violation {
            subject: format!("backend `{}`", self.name),
            guarantee,
            steps: steps.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// Returns the result of `method`, or `None` if it panics.
    fn call<T>(&self, call: impl Display, method: impl FnOnce() -> T) -> Option<T> {
        // State that a panic left broken is never used: the panic is reported, and the checks end.
        match catch_unwind(AssertUnwindSafe(method)) {
            Ok(result) => Some(result),
            Err(payload) => {
                let found = format!("a panic: {}", message(&*payload));
                self.store(self.violation(NEVER_PANICS, format_args!("`{call}`"), "no panic", found));
                None
            }
        }
    }

    fn store(&self, violation: Violation) {
        self.stored().get_or_insert(violation);
    }

    fn stored(&self) -> MutexGuard<'_, Option<Violation>> {
        self.violation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&'static str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

impl Backend for Monitored {
    fn name(&self) -> &'static str {
        if let Some(name) = self.call("name()", || self.backend.name())
            && name != self.name
        {
            let expected = format!("`{}`, as before", self.name);
            self.store(self.violation(CONSTANT_NAME, "`name()`", expected, format!("`{name}`")));
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
