//! Gradient-free scopes: inside `#[no_grad]` and `no_grad! { … }` nothing is recorded.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "cpu", feature = "mlx"))]
mod array;
mod backend;
mod carry;
#[cfg(feature = "cpu")]
pub mod cpu;
mod debt;
mod error;
mod guard;
mod lanes;
mod macros;
#[cfg(feature = "mlx")]
pub mod mlx;
mod mode;

#[cfg(any(feature = "cpu", feature = "mlx"))]
pub use array::{Array, Buffer, Dtype, Element};
pub use backend::{Backend, Cpu, Mlx, install, installed};
pub use error::{Error, Result};
pub use guard::{GradGuard, enable_grad, inference_mode, no_grad, set_grad_enabled};
pub use mode::{GradMode, Scope, grad_mode, is_grad_enabled};

/// The attributes: `#[no_grad]`, `#[enable_grad]`, `#[set_grad_enabled(…)]` and `#[inference_mode]`.
pub mod attr {
    pub use grad_macros::{enable_grad, inference_mode, no_grad, set_grad_enabled};
}

/// The attributes, the traits and the backends, for `use grad_runtime::prelude::*`.
pub mod prelude {
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    pub use crate::array::{Array, Dtype};
    pub use crate::attr::*;
    pub use crate::backend::{Backend, Cpu, Mlx};
    pub use crate::mode::{GradMode, is_grad_enabled};
}

/// What the macros' output stands on. Not public: it may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::carry::scoped;
    pub use grad_macros::block;

    /// A value that is never made: it tells the compiler the return type of an annotated `async fn`.
    #[must_use]
    pub fn never<T>() -> T {
        unreachable!("written by #[no_grad] in a branch that is never taken")
    }
}
