//! Errors of the registry and of backends that cannot be used.

use std::error::Error;
use std::fmt;

/// The error of [`install`](crate::install) where a backend of the same name is installed.
///
/// ```
/// let error = grad_core::install(&grad_core::Cpu).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "cannot install backend `cpu`: one of that name is installed; install each backend once, under a unique name"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlreadyInstalled {
    /// The name of both backends.
    pub name: &'static str,
}

impl fmt::Display for AlreadyInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot install backend `{}`: one of that name is installed; install each backend once, under a unique name",
            self.name
        )
    }
}

impl Error for AlreadyInstalled {}

/// The error of a backend that cannot be used in this process.
///
/// ```
/// let error = grad_core::Unavailable { backend: "engine", reason: "its driver is missing: install it".into() };
/// assert_eq!(error.to_string(), "cannot use engine: its driver is missing: install it");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// The name of the backend.
    pub backend: &'static str,
    /// Why it cannot be used, and how to change that.
    pub reason: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use {}: {}", self.backend, self.reason)
    }
}

impl Error for Unavailable {}
