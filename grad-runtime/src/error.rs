//! What can go wrong, in words for the user: what was asked, what was found, what to do.

use std::fmt;

#[cfg(any(feature = "cpu", feature = "mlx"))]
use crate::array::Dtype;

/// The result of an operation on arrays or backends.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A backend of that name is installed already.
    AlreadyInstalled {
        /// The name.
        name: &'static str,
    },
    /// A transform was started in inference mode, where nothing can be recorded.
    InferenceMode {
        /// The transform, as the user called it.
        transform: &'static str,
    },
    /// A backend cannot be used in this process.
    Unavailable {
        /// The backend's name.
        backend: &'static str,
        /// Why, and what to do about it.
        reason: String,
    },
    /// A file cannot be read or written.
    #[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        reason: String,
    },
    /// An operation was refused.
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    Operation {
        /// The operation, as the user called it.
        op: &'static str,
        /// Shape and dtype of each operand; for a constructor, those of the array it was to make.
        operands: Vec<(Vec<usize>, Dtype)>,
        /// Why it was refused.
        reason: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyInstalled { name } => {
                write!(
                    f,
                    "a backend named `{name}` is installed already: install each backend once, under its own name"
                )
            }
            Self::InferenceMode { transform } => write!(
                f,
                "{transform} was started in inference mode, where nothing is recorded: \
                 leave it with `inference_mode(false)`, or use `no_grad` instead"
            ),
            Self::Unavailable { backend, reason } => {
                write!(f, "{backend} is not available: {reason}")
            }
            #[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
            Self::File { path, reason } => write!(f, "{}: {reason}", path.display()),
            #[cfg(any(feature = "cpu", feature = "mlx"))]
            Self::Operation { op, operands, reason } => {
                f.write_str(op)?;
                for (at, (shape, dtype)) in operands.iter().enumerate() {
                    write!(f, "{}{dtype}{shape:?}", if at == 0 { " of " } else { " and " })?;
                }
                write!(f, ": {reason}")
            }
        }
    }
}

impl std::error::Error for Error {}
