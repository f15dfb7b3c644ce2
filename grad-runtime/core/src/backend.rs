//! The `Backend` trait, and the two backends whose mode is part of the thread state.

use crate::mode::GradMode;
use crate::thread_state::{self, Slot};
use crate::torch::Torch;

/// A library whose gradient recording can be switched, thread by thread.
///
/// Implement it for an autograd engine that has a switch of its own, and [`install`](crate::install) it: every universal scope
/// then switches that engine too. An engine without a switch does not need this trait: it calls
/// [`is_grad_enabled`](crate::is_grad_enabled) before it records. grad-runtime's guide "Plugging in" shows both, and its module
/// `testing` checks either.
///
/// ```
/// use std::cell::Cell;
/// use grad_core::{Backend, GradMode};
///
/// thread_local!(static RECORDING: Cell<bool> = const { Cell::new(true) });
///
/// struct Engine;
/// impl Backend for Engine {
///     fn name(&self) -> &'static str { "engine" }
///     fn grad_mode(&self) -> GradMode {
///         if RECORDING.get() { GradMode::Enabled } else { GradMode::NoGrad }
///     }
///     fn set_grad_mode(&self, mode: GradMode) { RECORDING.set(mode.is_enabled()) }
/// }
///
/// grad_core::install(&Engine)?;
/// let guard = grad_core::no_grad();
/// assert!(!RECORDING.get());
/// drop(guard);
/// assert!(RECORDING.get());
/// # Ok::<(), grad_core::AlreadyInstalled>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a gradient backend",
    label = "does not implement `grad_runtime::Backend`",
    note = "a backend is `Cpu`, `Mlx`, `Torch`, or a type that implements `Backend`"
)]
pub trait Backend: Sync {
    /// Returns the name that identifies the backend, in lower case. No other backend may have it, installed or not.
    fn name(&self) -> &'static str;

    /// Returns the mode in force on the calling thread.
    fn grad_mode(&self) -> GradMode;

    /// Sets the mode of the calling thread. Must not panic.
    ///
    /// A backend without an inference mode treats [`GradMode::Inference`] as [`GradMode::NoGrad`], and reports `NoGrad` from
    /// [`grad_mode`](Self::grad_mode); scopes remember the mode that they asked for.
    fn set_grad_mode(&self, mode: GradMode);

    /// Returns the part of the thread state that stores this backend's mode; only this crate's own backends have one.
    #[doc(hidden)]
    fn slot(&self) -> Option<Slot> {
        None
    }
}

/// This thread's own mode, which pure-Rust autograd engines read through [`is_grad_enabled`](crate::is_grad_enabled).
///
/// It is always installed, and every universal scope switches it. grad-runtime's CPU fallback, `cpu::Array`, obeys it.
///
/// ```
/// use grad_core::{Backend, Cpu, GradMode};
///
/// let _guard = grad_core::no_grad();
/// assert_eq!(Cpu.grad_mode(), GradMode::NoGrad);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu;

/// Apple's MLX.
///
/// MLX has no switch: gradients exist only inside a transform such as `value_and_grad`. Its mode is stored here, for each
/// thread, and grad-runtime's `mlx::Array` obeys it wherever an operation returns an array. It is always installed, and scopes
/// on it work with and without MLX; grad-runtime's `mlx::check_available` says whether MLX itself can be used.
///
/// ```
/// use grad_core::{Backend, Cpu, GradMode, Mlx, Scope};
///
/// let _guard = Scope::NoGrad.enter_for(&Mlx);
/// assert_eq!((Mlx.grad_mode(), Cpu.grad_mode()), (GradMode::NoGrad, GradMode::Enabled));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mlx;

/// Implements `Backend` for types whose mode is stored in the slot of the same name.
macro_rules! thread_local_backend {
    ($($backend:ident),*) => {$(
        impl Backend for $backend {
            fn name(&self) -> &'static str {
                Slot::$backend.name()
            }

            fn grad_mode(&self) -> GradMode {
                thread_state::mode(Slot::$backend)
            }

            fn set_grad_mode(&self, mode: GradMode) {
                thread_state::set_mode(Slot::$backend, mode);
            }

            fn slot(&self) -> Option<Slot> {
                Some(Slot::$backend)
            }
        }
    )*};
}
thread_local_backend!(Cpu, Mlx);

/// The backends without a switch of their own.
pub(crate) static ALWAYS_INSTALLED: [&dyn Backend; 2] = [&Cpu, &Mlx];

/// The backends whose mode is stored in a slot, in the order in which a scope enters them.
pub(crate) static WITH_SLOTS: [(Slot, &dyn Backend); 3] =
    [(Slot::Cpu, &Cpu), (Slot::Mlx, &Mlx), (Slot::Torch, &Torch)];
