//! What "off" means: the grad modes, and how a scope changes the mode that it finds.

use crate::lanes::{self, EVERY_LANE, Lane};

/// Whether operations record what a gradient needs.
///
/// The order is that of how much is switched off: `Enabled < NoGrad < Inference`.
///
/// ```
/// use grad_runtime::GradMode;
///
/// assert_eq!(grad_runtime::grad_mode(), GradMode::Enabled);
/// let _guard = grad_runtime::inference_mode(true);
/// assert_eq!(grad_runtime::grad_mode(), GradMode::Inference);
/// assert!(!GradMode::Inference.is_enabled());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum GradMode {
    /// Operations are recorded. Every thread starts here.
    #[default]
    Enabled = 0b00,
    /// Operations are not recorded, and `enable_grad` may switch recording on again.
    NoGrad = 0b01,
    /// Operations are not recorded, and only `inference_mode(false)` switches recording on again.
    Inference = 0b11,
}

impl GradMode {
    /// Whether operations are recorded.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        matches!(self, Self::Enabled)
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits & MODE_BITS {
            0b00 => Self::Enabled,
            0b01 => Self::NoGrad,
            _ => Self::Inference,
        }
    }
}

/// The bits of a lane that hold a mode, as `GradMode` numbers them.
pub(crate) const MODE_BITS: u64 = 0b11;

/// What a scope asks of the mode that it finds: the common vocabulary behind the guards, the blocks and the
/// attributes.
///
/// ```
/// use grad_runtime::{GradMode, Scope};
///
/// assert_eq!(Scope::NoGrad.applied_to(GradMode::Enabled), GradMode::NoGrad);
/// assert_eq!(Scope::EnableGrad.applied_to(GradMode::NoGrad), GradMode::Enabled);
/// // Nothing but `inference_mode(false)` lifts inference mode.
/// assert_eq!(Scope::EnableGrad.applied_to(GradMode::Inference), GradMode::Inference);
/// assert_eq!(Scope::InferenceMode(false).applied_to(GradMode::Inference), GradMode::Enabled);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Record nothing, as `torch.no_grad`.
    NoGrad,
    /// Record again inside a `no_grad` scope, as `torch.enable_grad`.
    EnableGrad,
    /// Record nothing, for good (`true`), or leave both inference mode and `no_grad` (`false`), as
    /// `torch.inference_mode`.
    InferenceMode(bool),
}

impl Scope {
    /// [`Scope::EnableGrad`] if `enabled`, else [`Scope::NoGrad`], as `torch.set_grad_enabled`.
    #[must_use]
    pub const fn set_grad_enabled(enabled: bool) -> Self {
        if enabled { Self::EnableGrad } else { Self::NoGrad }
    }

    /// The mode inside this scope, entered where `found` is in force.
    #[must_use]
    pub const fn applied_to(self, found: GradMode) -> GradMode {
        GradMode::from_bits(self.applied_to_lanes(found as u64))
    }

    /// The same scope in a static, for closures that borrow what they use.
    #[must_use]
    #[doc(hidden)]
    pub const fn lasting(self) -> &'static Self {
        match self {
            Self::NoGrad => &Self::NoGrad,
            Self::EnableGrad => &Self::EnableGrad,
            Self::InferenceMode(true) => &Self::InferenceMode(true),
            Self::InferenceMode(false) => &Self::InferenceMode(false),
        }
    }

    /// The one statement of how scopes change modes, for every lane of a word at once.
    #[inline]
    pub(crate) const fn applied_to_lanes(self, lanes: u64) -> u64 {
        match self {
            Self::NoGrad => lanes | EVERY_LANE,
            Self::EnableGrad => {
                let inference = lanes & (EVERY_LANE * 0b10);
                (lanes & !(EVERY_LANE * MODE_BITS)) | inference | (inference >> 1)
            }
            Self::InferenceMode(true) => lanes | (EVERY_LANE * MODE_BITS),
            Self::InferenceMode(false) => lanes & !(EVERY_LANE * MODE_BITS),
        }
    }
}

/// The mode of this thread, as the innermost universal scope (or selective scope on [`Cpu`](crate::Cpu)) left it.
///
/// ```
/// use grad_runtime::{GradMode, grad_mode, no_grad};
///
/// assert_eq!(no_grad!(grad_mode()), GradMode::NoGrad);
/// assert_eq!(grad_mode(), GradMode::Enabled);
/// ```
#[must_use]
#[inline]
pub fn grad_mode() -> GradMode {
    lanes::mode(Lane::Cpu)
}

/// Panics unless this thread is in the mode `expected`: for a place that relies on a scope which was entered far away.
///
/// Work that another thread took over without [`carry`](fn@crate::carry) starts Enabled there, and nothing fails: its
/// results are right, and its graph is recorded. An assertion finds such a place, in a test or in the code itself.
///
/// ```
/// use grad_runtime::{GradMode, assert_grad_mode, no_grad};
///
/// no_grad! {
///     assert_grad_mode(GradMode::NoGrad);
///     let forgotten = std::thread::spawn(|| assert_grad_mode(GradMode::NoGrad));
///     assert!(forgotten.join().is_err());
/// }
/// ```
///
/// # Panics
///
/// If `grad_mode() != expected`; the message names the thread.
#[track_caller]
pub fn assert_grad_mode(expected: GradMode) {
    let found = grad_mode();
    if found != expected {
        let thread = std::thread::current();
        panic!(
            "expected grad mode {expected:?} on thread {:?} ({:?}), found {found:?}\n\
             help: a scope stays on its thread; hand work to another with `carry(…)`, \
             `.in_current_grad_mode()` or `.with_grad_mode(…)`",
            thread.name().unwrap_or("without a name"),
            thread.id(),
        );
    }
}

/// Whether operations are recorded on this thread: `grad_mode() == GradMode::Enabled`.
///
/// This is what an autograd engine of your own asks before it records an operation.
///
/// ```
/// use grad_runtime::{is_grad_enabled, no_grad};
///
/// assert!(is_grad_enabled());
/// assert!(!no_grad!(is_grad_enabled()));
/// ```
#[must_use]
#[inline]
pub fn is_grad_enabled() -> bool {
    grad_mode().is_enabled()
}
