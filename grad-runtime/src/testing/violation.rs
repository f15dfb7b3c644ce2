//! `Violation`: the promise that was broken, in words for whoever has to repair it.

use std::fmt;

use super::rules::Rule;
use grad_core::Scope;

/// A promise of the law that a backend or an engine does not keep: which one, what was done, what was expected, what was
/// found, and what to do about it.
///
/// ```
/// use grad_runtime::{Backend, GradMode, testing};
///
/// struct Stuck;
/// impl Backend for Stuck {
///     fn name(&self) -> &'static str { "stuck" }
///     fn grad_mode(&self) -> GradMode { GradMode::Enabled }
///     fn set_grad_mode(&self, _: GradMode) {}
/// }
///
/// let violation = testing::check_backend(&Stuck).unwrap_err();
/// assert_eq!(
///     violation.to_string(),
///     "backend `stuck` breaks the contract of `Backend::set_grad_mode`: `grad_mode()` reports the mode that was set last
///     what was done: `set_grad_mode` of Enabled, NoGrad in turn on one thread, then `grad_mode()`
///     expected: NoGrad
///     found: Enabled
///     what to do: keep the mode that you are given, rather than a count of calls or a mode set once",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub(super) subject: String,
    pub(super) rule: &'static Rule,
    pub(super) done: String,
    pub(super) expected: String,
    pub(super) found: String,
}

/// What every check comes to.
pub(super) type Checked = Result<(), Violation>;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, rule, done, expected, found } = self;
        writeln!(f, "{subject} breaks {}", rule.promise)?;
        writeln!(f, "    what was done: {done}")?;
        writeln!(f, "    expected: {expected}")?;
        writeln!(f, "    found: {found}")?;
        write!(f, "    what to do: {}", rule.help)
    }
}

impl std::error::Error for Violation {}

/// The scope as users write it.
pub(super) fn name_of(scope: Scope) -> &'static str {
    match scope {
        Scope::NoGrad => "`no_grad`",
        Scope::EnableGrad => "`enable_grad`",
        Scope::InferenceMode(true) => "`inference_mode(true)`",
        Scope::InferenceMode(false) => "`inference_mode(false)`",
    }
}
