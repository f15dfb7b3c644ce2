//! `GradGuard` and its constructors: a scope that lasts as long as a value.

use std::marker::PhantomData;
use std::num::NonZeroU32;

use crate::backend::{self, Backend};
use crate::mode::{self, ALL_LANES, Scope, Swap};

/// A scope that ends when this value is dropped.
///
/// It belongs to the thread that entered it, so it can be neither sent nor shared:
///
/// ```compile_fail,E0277
/// let guard = grad_runtime::no_grad();
/// std::thread::spawn(move || drop(guard));
/// ```
///
/// Nor may it live across an `.await`: between two polls the mode would be the caller's and anybody's. Annotate the
/// `async fn` with `#[no_grad]` instead; it enters the scope at every poll. Clippy reports guards that are held across
/// a suspension point once `clippy.toml` says
/// `await-holding-invalid-types = ["grad_runtime::GradGuard"]`.
///
/// Guards may be dropped in any order: the mode is always the one that the innermost guard still alive established.
/// A guard that is leaked (`std::mem::forget`) stays alive.
#[must_use = "the scope ends when the guard is dropped: bind it, as in `let _guard = no_grad();`"]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct GradGuard {
    swap: Swap,
    /// Set if the scope switched backends with a switch of their own.
    debtor: Option<NonZeroU32>,
    /// The scope is this thread's alone.
    not_send: PhantomData<*const ()>,
}

impl Scope {
    /// Enters this scope on every installed backend.
    ///
    /// ```
    /// use grad_runtime::{Scope, is_grad_enabled};
    ///
    /// let _guard = Scope::NoGrad.enter();
    /// assert!(!is_grad_enabled());
    /// ```
    #[inline]
    pub fn enter(self) -> GradGuard {
        let mut guard = GradGuard {
            swap: mode::enter(self, ALL_LANES),
            debtor: None,
            not_send: PhantomData,
        };
        if backend::any_with_a_switch() {
            guard.switch_installed(self);
        }
        guard
    }

    /// Enters this scope on `backend` alone, installed or not.
    ///
    /// ```
    /// use grad_runtime::{Backend, Cpu, Mlx, Scope};
    ///
    /// let _guard = Scope::NoGrad.enter_on(&Mlx);
    /// assert!(!Mlx.grad_mode().is_enabled());
    /// assert!(Cpu.grad_mode().is_enabled());
    /// ```
    pub fn enter_on(self, backend: &'static dyn Backend) -> GradGuard {
        let lane = backend.lane();
        let mut guard = GradGuard {
            swap: mode::enter(self, lane.map_or(0, mode::Lane::mask)),
            debtor: None,
            not_send: PhantomData,
        };
        if lane.is_none() {
            let debtor = *guard.debtor.insert(backend::next_guard());
            backend::switch(debtor, self, backend);
        }
        guard
    }
}

impl GradGuard {
    // Out of line: `enter` is inlined into every scope, and most processes never come here.
    #[cold]
    fn switch_installed(&mut self, scope: Scope) {
        let debtor = *self.debtor.insert(backend::next_guard());
        backend::switch_installed(debtor, scope);
    }
}

impl Drop for GradGuard {
    #[inline]
    fn drop(&mut self) {
        mode::leave(&self.swap);
        if let Some(debtor) = self.debtor {
            backend::restore(debtor);
        }
    }
}

/// Records nothing until the guard is dropped, on every installed backend.
///
/// ```
/// let guard = grad_runtime::no_grad();
/// assert!(!grad_runtime::is_grad_enabled());
/// drop(guard);
/// assert!(grad_runtime::is_grad_enabled());
/// ```
#[inline]
pub fn no_grad() -> GradGuard {
    Scope::NoGrad.enter()
}

/// Records again until the guard is dropped, inside a `no_grad` scope; in inference mode it changes nothing.
///
/// ```
/// let _outer = grad_runtime::no_grad();
/// let _inner = grad_runtime::enable_grad();
/// assert!(grad_runtime::is_grad_enabled());
/// ```
#[inline]
pub fn enable_grad() -> GradGuard {
    Scope::EnableGrad.enter()
}

/// [`enable_grad`] if `enabled`, else [`no_grad`].
///
/// ```
/// let training = false;
/// let _guard = grad_runtime::set_grad_enabled(training);
/// assert!(!grad_runtime::is_grad_enabled());
/// ```
#[inline]
pub fn set_grad_enabled(enabled: bool) -> GradGuard {
    Scope::set_grad_enabled(enabled).enter()
}

/// Inference mode (`true`) until the guard is dropped, or an end to it (`false`).
///
/// In inference mode nothing is recorded, `enable_grad` changes nothing, and starting a transform is an error. As in
/// PyTorch, `inference_mode(false)` enables recording, also where only `no_grad` was in force.
///
/// ```
/// use grad_runtime::{GradMode, grad_mode};
///
/// let _serving = grad_runtime::inference_mode(true);
/// let _still = grad_runtime::enable_grad();
/// assert_eq!(grad_mode(), GradMode::Inference);
/// let _training = grad_runtime::inference_mode(false);
/// assert_eq!(grad_mode(), GradMode::Enabled);
/// ```
#[inline]
pub fn inference_mode(inference: bool) -> GradGuard {
    Scope::InferenceMode(inference).enter()
}
