//! Errors: each says which function failed, what was found, and what to do.

use std::error::Error as StdError;
use std::fmt;
#[cfg(any(feature = "mlx", all(feature = "safetensors", feature = "cpu")))]
use std::io;
#[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
use std::path::PathBuf;

use grad_core::{AlreadyInstalled, Unavailable};

#[cfg(any(feature = "cpu", feature = "mlx"))]
use crate::dtype::Dtype;
#[cfg(any(feature = "cpu", feature = "mlx"))]
use crate::explain::Report;

/// The result of an operation on arrays or backends.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a function of this crate failed.
///
/// The text reads "cannot X: what was found; what to do". It includes the text of the cause, which
/// [`source`](StdError::source) returns too.
///
/// ```
/// # #[cfg(feature = "cpu")] {
/// use grad_runtime::{Dtype, Error, cpu};
///
/// let (x, y) = (cpu::Array::ones(&[2, 3], Dtype::Float32)?, cpu::Array::ones(&[4], Dtype::Float32)?);
/// let error = x.add(&y).unwrap_err();
/// assert!(error.to_string().starts_with("cannot add float32[2, 3] and float32[4]: "));
/// let Error::Operation { op: "add", operands, .. } = error else { unreachable!() };
/// assert_eq!(operands[1].shape, [4]);
/// # }
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A backend of the same name is already installed.
    AlreadyInstalled(AlreadyInstalled),
    /// A transform was started in inference mode, where nothing can be recorded.
    InferenceMode {
        /// The function that was called.
        transform: &'static str,
    },
    /// A backend cannot be used in this process.
    Unavailable(Unavailable),
    /// A file cannot be read or written.
    #[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
    Io {
        /// The function that was called.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is not a valid safetensors file, or its arrays cannot be represented.
    #[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
    Safetensors {
        /// The function that was called.
        op: &'static str,
        /// The file.
        path: PathBuf,
        /// What was found, and what to do about it.
        reason: String,
        /// The cause, if another function failed.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// An operation does not accept its operands, or failed on them.
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    Operation {
        /// The function that was called.
        op: &'static str,
        /// The operands; for a constructor, the array that was requested.
        operands: Vec<Operand>,
        /// What was found, and what to do about it.
        reason: String,
    },
    /// Processes that compute together cannot connect, or cannot go on.
    #[cfg(feature = "mlx")]
    Distributed {
        /// The function that was called.
        op: &'static str,
        /// What kind of failure it is.
        kind: crate::mlx::distributed::ErrorKind,
        /// What was found, and what to do about it.
        reason: String,
        /// The cause, if the system refused something.
        source: Option<io::Error>,
    },
    /// A parameter receives no gradient.
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    MissingGradients(Box<Report>),
}

const fn is_sendable<T: Send + Sync + 'static>() {}
const _: () = is_sendable::<Error>();

impl Error {
    /// Returns the error of the function `op`, which the user called, for that of an operation inside it.
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    pub(crate) fn with_op(self, op: &'static str) -> Self {
        match self {
            Self::Operation { operands, reason, .. } => Self::Operation { op, operands, reason },
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyInstalled(error) => error.fmt(f),
            Self::InferenceMode { transform } => write!(
                f,
                "cannot start {transform} in inference mode: nothing can be recorded there; \
                 leave it with `inference_mode(false)`, or use `no_grad` instead"
            ),
            Self::Unavailable(error) => error.fmt(f),
            #[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
            Self::Io { op, path, source } => write!(f, "cannot {op} {}: {source}", path.display()),
            #[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
            Self::Safetensors { op, path, reason, source } => {
                write!(f, "cannot {op} {}: {reason}", path.display())?;
                source.iter().try_for_each(|source| write!(f, ": {source}"))
            }
            #[cfg(any(feature = "cpu", feature = "mlx"))]
            Self::Operation { op, operands, reason } => {
                write!(f, "cannot {op}")?;
                for (index, operand) in operands.iter().enumerate() {
                    write!(f, "{}{operand}", if index == 0 { " " } else { " and " })?;
                }
                write!(f, ": {reason}")
            }
            #[cfg(feature = "mlx")]
            Self::Distributed { op, reason, source, .. } => {
                write!(f, "cannot {op}: {reason}")?;
                source.iter().try_for_each(|source| write!(f, ": {source}"))
            }
            #[cfg(any(feature = "cpu", feature = "mlx"))]
            Self::MissingGradients(report) => {
                write!(
                    f,
                    "cannot differentiate with respect to every parameter: {report}\nremove the cuts, or mark these parameters \
                     `#[params(frozen)]`"
                )
            }
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            #[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
            Self::Io { source, .. } => Some(source),
            #[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
            Self::Safetensors { source, .. } => source.as_deref().map(|source| source as _),
            #[cfg(feature = "mlx")]
            Self::Distributed { source, .. } => source.as_ref().map(|source| source as _),
            _ => None,
        }
    }
}

impl From<AlreadyInstalled> for Error {
    fn from(error: AlreadyInstalled) -> Self {
        Self::AlreadyInstalled(error)
    }
}

impl From<Unavailable> for Error {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

/// The shape and dtype of an operand that an operation did not accept.
///
/// ```
/// use grad_runtime::{Dtype, Operand};
///
/// let operand = Operand { shape: vec![2, 3], dtype: Dtype::Float32 };
/// assert_eq!(operand.to_string(), "float32[2, 3]");
/// ```
#[cfg(any(feature = "cpu", feature = "mlx"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operand {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The type of the elements.
    pub dtype: Dtype,
}

/// Writes the dtype and the shape, such as `float32[2, 3]`.
#[cfg(any(feature = "cpu", feature = "mlx"))]
impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}
