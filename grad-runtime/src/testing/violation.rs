//! `Violation`: a guarantee that does not hold, with the steps that show it and advice on the repair.

use std::fmt;

use super::guarantees::Guarantee;

/// A guarantee that a backend or an engine breaks: the steps that show it, the expected and the found outcome, and how to
/// repair it.
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
///     "backend `stuck` breaks the guarantee of `Backend::set_grad_mode`: `grad_mode()` reports the mode that was set last
///     what was done: `set_grad_mode` of Enabled, NoGrad in turn on one thread, then `grad_mode()`
///     expected: NoGrad
///     found: Enabled
///     what to do: store the mode that you are given, not a count of calls or the first mode",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub(super) subject: String,
    pub(super) guarantee: &'static Guarantee,
    pub(super) steps: String,
    pub(super) expected: String,
    pub(super) found: String,
}

/// The outcome of a check.
pub(super) type Checked = Result<(), Violation>;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, guarantee, steps, expected, found } = self;
        writeln!(f, "{subject} breaks {}", guarantee.statement)?;
        writeln!(f, "    what was done: {steps}")?;
        writeln!(f, "    expected: {expected}")?;
        writeln!(f, "    found: {found}")?;
        write!(f, "    what to do: {}", guarantee.help)
    }
}

impl std::error::Error for Violation {}
