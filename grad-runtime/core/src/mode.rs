//! The grad modes, and how a scope changes the mode that it finds.

use std::fmt;

/// Whether operations record what a gradient needs.
///
/// Modes are ordered by how much they switch off: `Enabled < NoGrad < Inference`.
///
/// ```
/// use grad_core::GradMode;
///
/// assert_eq!(grad_core::grad_mode(), GradMode::Enabled);
/// let _guard = grad_core::inference_mode(true);
/// assert_eq!(grad_core::grad_mode(), GradMode::Inference);
/// assert!(!GradMode::Inference.is_enabled());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum GradMode {
    /// Operations are recorded. Every thread starts in this mode.
    #[default]
    Enabled = 0b00,
    /// Operations are not recorded; `enable_grad` re-enables recording.
    NoGrad = 0b01,
    /// Operations are not recorded; only `inference_mode(false)` re-enables recording.
    Inference = 0b11,
}

impl GradMode {
    /// Returns whether operations are recorded.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        matches!(self, Self::Enabled)
    }
}

/// Displays the mode as `enabled`, `no_grad` or `inference_mode`.
///
/// ```
/// assert_eq!(grad_core::GradMode::NoGrad.to_string(), "no_grad");
/// ```
impl fmt::Display for GradMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Enabled => "enabled",
            Self::NoGrad => "no_grad",
            Self::Inference => "inference_mode",
        })
    }
}

/// A change of the grad mode: the value behind each guard, block macro and attribute.
///
/// ```
/// use grad_core::{GradMode, Scope};
///
/// assert_eq!(Scope::NoGrad.applied_to(GradMode::Enabled), GradMode::NoGrad);
/// assert_eq!(Scope::EnableGrad.applied_to(GradMode::NoGrad), GradMode::Enabled);
/// // Only `inference_mode(false)` lifts inference mode.
/// assert_eq!(Scope::EnableGrad.applied_to(GradMode::Inference), GradMode::Inference);
/// assert_eq!(Scope::InferenceMode(false).applied_to(GradMode::Inference), GradMode::Enabled);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Disables recording, as `torch.no_grad` does.
    NoGrad,
    /// Re-enables recording inside `no_grad`, as `torch.enable_grad` does.
    EnableGrad,
    /// Enters inference mode (`true`), or leaves both inference mode and `no_grad` (`false`), as `torch.inference_mode` does.
    InferenceMode(bool),
}

impl Scope {
    /// Returns [`Scope::EnableGrad`] if `enabled`, else [`Scope::NoGrad`], as `torch.set_grad_enabled` does.
    ///
    /// ```
    /// assert_eq!(grad_core::Scope::set_grad_enabled(false), grad_core::Scope::NoGrad);
    /// ```
    #[must_use]
    pub const fn set_grad_enabled(enabled: bool) -> Self {
        if enabled { Self::EnableGrad } else { Self::NoGrad }
    }

    /// Returns the mode inside this scope where it is entered in mode `found`.
    #[must_use]
    pub const fn applied_to(self, found: GradMode) -> GradMode {
        use GradMode::{Enabled, Inference, NoGrad};

        match (self, found) {
            (Self::NoGrad, Enabled | NoGrad) => NoGrad,
            (Self::EnableGrad, Enabled | NoGrad) | (Self::InferenceMode(false), _) => Enabled,
            (Self::NoGrad | Self::EnableGrad, Inference) | (Self::InferenceMode(true), _) => Inference,
        }
    }

    /// Returns a static reference to the same scope, for closures that capture by reference.
    #[must_use]
    #[doc(hidden)]
    pub const fn as_static(self) -> &'static Self {
        match self {
            Self::NoGrad => &Self::NoGrad,
            Self::EnableGrad => &Self::EnableGrad,
            Self::InferenceMode(true) => &Self::InferenceMode(true),
            Self::InferenceMode(false) => &Self::InferenceMode(false),
        }
    }
}

/// Displays the scope as it is written: `no_grad`, `enable_grad`, `inference_mode` or `inference_mode(false)`.
///
/// ```
/// assert_eq!(grad_core::Scope::InferenceMode(false).to_string(), "inference_mode(false)");
/// ```
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoGrad => "no_grad",
            Self::EnableGrad => "enable_grad",
            Self::InferenceMode(true) => "inference_mode",
            Self::InferenceMode(false) => "inference_mode(false)",
        })
    }
}
