//! `GradGuard` and its constructors: a scope that lasts as long as a value.

use crate::backend::{Backend, any_with_a_switch, switch_beside};
use crate::debt::Debtor;
use crate::lanes::Swap;
use crate::mode::Scope;

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
#[must_use = "the scope ends when the guard is dropped: bind it, as in `let _guard = no_grad();`, and not as `let _`"]
#[clippy::has_significant_drop]
#[derive(Debug)]
pub struct GradGuard {
    // Dropping these leaves the scope.
    _lanes: Swap,
    _switches: Option<Debtor>,
    _not_send: ScopeBelongsToItsThread,
}

/// Neither `Send` nor `Sync`; the name is for the compiler's message.
#[derive(Debug)]
struct ScopeBelongsToItsThread([*const (); 0]);

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
        // A process without such backends pays for one look.
        let switches = any_with_a_switch().then(|| Debtor::of_installed(self));
        GradGuard::holding(Swap::every_lane(self), switches)
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
        let (lanes, switches) = match backend.lane() {
            Some(lane) => {
                let switch = switch_beside(lane).map(|switch| Debtor::of(self, switch));
                (Swap::one_lane(self, lane), switch)
            }
            None => (Swap::no_lane(), Some(Debtor::of(self, backend))),
        };
        GradGuard::holding(lanes, switches)
    }
}

impl GradGuard {
    #[inline]
    pub(crate) fn holding(lanes: Swap, switches: Option<Debtor>) -> Self {
        Self { _lanes: lanes, _switches: switches, _not_send: ScopeBelongsToItsThread([]) }
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
