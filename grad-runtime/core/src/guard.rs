//! `GradGuard` and its constructors: scopes that last as long as a value.

use std::fmt;
use std::panic::Location;

use crate::backend::Backend;
use crate::mode::Scope;
use crate::thread_state::Entered;

/// A scope that ends when this value is dropped.
///
/// It belongs to the thread that entered it and can be neither sent nor shared:
///
/// ```compile_fail,E0277
/// let guard = grad_core::no_grad();
/// std::thread::spawn(move || drop(guard));
/// ```
///
/// It must not live across an `.await` either: between two polls, other tasks of the thread would run in its mode. Annotate the
/// `async fn` with grad-runtime's `#[no_grad]` instead, which enters the scope at every poll. Clippy reports guards that are held
/// across a suspension point if `clippy.toml` says `await-holding-invalid-types = ["grad_core::GradGuard"]`.
///
/// Guards may be dropped in any order: the mode is always the one that the innermost guard still alive established.
/// A leaked guard (`std::mem::forget`) stays alive.
///
/// ```
/// let guard = grad_core::no_grad();
/// assert_eq!(
///     format!("{guard:?}"),
///     r#"GradGuard {"cpu": NoGrad, restores Enabled, "mlx": NoGrad, restores Enabled}"#
/// );
/// ```
#[must_use = "the scope ends when the guard is dropped: bind it, as in `let _guard = no_grad();`, and not as `let _`"]
#[clippy::has_significant_drop]
pub struct GradGuard {
    // Dropping it leaves the scope.
    entered: Entered,
    _not_send: ScopeBelongsToItsThread,
}

/// Neither `Send` nor `Sync`; the name is for the compiler's message.
struct ScopeBelongsToItsThread([*const (); 0]);

impl Scope {
    /// Enters this scope on every installed backend.
    ///
    /// ```
    /// use grad_core::{Scope, is_grad_enabled};
    ///
    /// let _guard = Scope::NoGrad.enter();
    /// assert!(!is_grad_enabled());
    /// ```
    #[inline]
    #[track_caller]
    pub fn enter(self) -> GradGuard {
        self.enter_at(Location::caller())
    }

    /// Enters this scope as [`enter`](Self::enter) does, for code at `place`: grad-runtime's, each time it polls a future.
    #[doc(hidden)]
    #[inline]
    pub fn enter_at(self, place: &'static Location<'static>) -> GradGuard {
        GradGuard::new(Entered::universal(self, place))
    }

    /// Enters this scope for `backend` alone, installed or not.
    ///
    /// ```
    /// use grad_core::{Backend, Cpu, Mlx, Scope};
    ///
    /// let _guard = Scope::NoGrad.enter_for(&Mlx);
    /// assert!(!Mlx.grad_mode().is_enabled());
    /// assert!(Cpu.grad_mode().is_enabled());
    /// ```
    #[track_caller]
    pub fn enter_for(self, backend: &'static dyn Backend) -> GradGuard {
        GradGuard::new(Entered::selective(self, backend, Location::caller()))
    }
}

impl GradGuard {
    #[inline]
    pub(crate) fn new(entered: Entered) -> Self {
        Self { entered, _not_send: ScopeBelongsToItsThread([]) }
    }
}

/// Prints the modes that the guard set and those that it restores.
impl fmt::Debug for GradGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GradGuard ")?;
        self.entered.fmt(f)
    }
}

/// Disables recording on every installed backend until the guard is dropped.
///
/// ```
/// let guard = grad_core::no_grad();
/// assert!(!grad_core::is_grad_enabled());
/// drop(guard);
/// assert!(grad_core::is_grad_enabled());
/// ```
#[inline]
#[track_caller]
pub fn no_grad() -> GradGuard {
    Scope::NoGrad.enter()
}

/// Re-enables recording until the guard is dropped, inside a `no_grad` scope; in inference mode it changes nothing.
///
/// ```
/// let _outer = grad_core::no_grad();
/// let _inner = grad_core::enable_grad();
/// assert!(grad_core::is_grad_enabled());
/// ```
#[inline]
#[track_caller]
pub fn enable_grad() -> GradGuard {
    Scope::EnableGrad.enter()
}

/// Enters the scope of [`enable_grad`] if `enabled`, else that of [`no_grad`].
///
/// ```
/// let training = false;
/// let _guard = grad_core::set_grad_enabled(training);
/// assert!(!grad_core::is_grad_enabled());
/// ```
#[inline]
#[track_caller]
pub fn set_grad_enabled(enabled: bool) -> GradGuard {
    Scope::set_grad_enabled(enabled).enter()
}

/// Enters inference mode (`true`) or leaves it (`false`) until the guard is dropped.
///
/// In inference mode nothing is recorded, `enable_grad` changes nothing, and starting a transform is an error. As in
/// PyTorch, `inference_mode(false)` re-enables recording, also where only `no_grad` was in force.
///
/// ```
/// use grad_core::{GradMode, grad_mode};
///
/// let _serving = grad_core::inference_mode(true);
/// let _still = grad_core::enable_grad();
/// assert_eq!(grad_mode(), GradMode::Inference);
/// let _training = grad_core::inference_mode(false);
/// assert_eq!(grad_mode(), GradMode::Enabled);
/// ```
#[inline]
#[track_caller]
pub fn inference_mode(inference: bool) -> GradGuard {
    Scope::InferenceMode(inference).enter()
}
