//! The modes that guards found in backends with a switch of their own, and owe them back.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;

use crate::backend::{Backend, with_a_switch};
use crate::mode::{GradMode, Scope};

/// A guard that has switched backends: dropping it pays its debts. Its number is higher than that of any other debtor
/// that was there before.
#[derive(Debug)]
pub(crate) struct Debtor(NonZeroU32);

struct Debt {
    debtor: NonZeroU32,
    backend: &'static dyn Backend,
    /// Its name, which says whether two are the same.
    name: &'static str,
    /// What the backend was in, and gets back.
    found: GradMode,
    /// What it was asked to be in.
    asked: GradMode,
    /// What it then said it was in: a backend that only knows on and off says `NoGrad` where `Inference` was asked.
    reported: GradMode,
}

thread_local! {
    // Outermost debtor first. No destructor, as for the lanes: scopes work while a thread is torn down.
    static DEBTS: RefCell<ManuallyDrop<Vec<Debt>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

impl Debtor {
    /// Switches every installed backend.
    #[cold] // Most processes have none, and `Scope::enter` is inlined everywhere.
    pub(crate) fn of_installed(scope: Scope) -> Self {
        let debtor = Self::new();
        with_a_switch().for_each(|backend| debtor.switch(backend, |found| scope.applied_to(found)));
        debtor
    }

    /// Switches one backend.
    pub(crate) fn of(scope: Scope, backend: &'static dyn Backend) -> Self {
        let debtor = Self::new();
        debtor.switch(backend, |found| scope.applied_to(found));
        debtor
    }

    /// Puts each backend into the mode beside it.
    pub(crate) fn of_each(modes: impl Iterator<Item = (&'static dyn Backend, GradMode)>) -> Self {
        let debtor = Self::new();
        modes.for_each(|(backend, mode)| debtor.switch(backend, |_| mode));
        debtor
    }

    fn new() -> Self {
        DEBTS.with_borrow(|debts| {
            let last = debts.last().map_or(0, |debt| debt.debtor.get());
            let next = last.checked_add(1).and_then(NonZeroU32::new);
            Self(next.expect("billions of scopes are alive on this thread: guards are being leaked"))
        })
    }

    fn switch(&self, backend: &'static dyn Backend, wanted: impl FnOnce(GradMode) -> GradMode) {
        let (name, found) = (backend.name(), backend.grad_mode());
        let in_force = mode_asked_for(name, found);
        let asked = wanted(in_force);
        let debt = Debt { debtor: self.0, backend, name, found, asked, reported: found };
        DEBTS.with_borrow_mut(|debts| debts.push(debt));
        if asked == in_force {
            return;
        }
        backend.set_grad_mode(asked);
        let reported = backend.grad_mode();
        DEBTS.with_borrow_mut(|debts| {
            if let Some(debt) = debts.iter_mut().rfind(|debt| debt.name == name) {
                debt.reported = reported;
            }
        });
    }

    /// Takes this debtor's last debt. Where a later debtor has switched the backend too, the mode stays as that one
    /// left it, and it inherits the debt.
    fn take_debt(&self) -> Option<Debt> {
        DEBTS.with_borrow_mut(|debts| {
            // Debtors' numbers only grow along the list.
            while let Some(at) = debts.partition_point(|debt| debt.debtor <= self.0).checked_sub(1)
                && debts[at].debtor == self.0
            {
                let debt = debts.remove(at);
                let mut later = debts[at..].iter_mut();
                if let Some(heir) = later.find(|other| other.name == debt.name) {
                    heir.found = debt.found;
                    continue;
                }
                if debts.is_empty() {
                    **debts = Vec::new(); // Gives the memory back: nothing else will.
                }
                return Some(debt);
            }
            None
        })
    }
}

/// The mode in force on a backend with a switch of its own: what our innermost scope asked for, unless somebody else has
/// touched the switch since.
pub(crate) fn mode_in_force(backend: &dyn Backend) -> GradMode {
    mode_asked_for(backend.name(), backend.grad_mode())
}

fn mode_asked_for(name: &str, found: GradMode) -> GradMode {
    DEBTS.with_borrow(|debts| {
        let innermost = debts.iter().rfind(|debt| debt.name == name);
        innermost.filter(|debt| debt.reported == found).map_or(found, |debt| debt.asked)
    })
}

impl Drop for Debtor {
    fn drop(&mut self) {
        // Nothing is borrowed while a backend is called, so that it may use scopes itself.
        while let Some(debt) = self.take_debt() {
            debt.backend.set_grad_mode(debt.found);
        }
    }
}
