//! The `Backend` trait, the two backends whose mode this crate keeps, and the list of installed ones.

use std::sync::OnceLock;

#[cfg(not(feature = "mlx"))]
use crate::error::Unavailable;
use crate::error::{AlreadyInstalled, Result};
use crate::lanes::{self, Lane};
use crate::mode::GradMode;
#[cfg(feature = "torch")]
use crate::torch::switch;

/// A library whose gradient recording can be switched, thread by thread.
///
/// Implement it for an autograd engine that has a switch of its own and [`install`] it: every universal scope then
/// switches that engine too. An engine without a switch needs none of this: it asks
/// [`is_grad_enabled`](crate::is_grad_enabled) before it records. The guide [Plugging in](crate::guide::plugging_in) has
/// both, and how to test either.
///
/// ```
/// use std::cell::Cell;
/// use grad_runtime::{Backend, GradMode, no_grad};
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
/// grad_runtime::install(&Engine)?;
/// assert!(!no_grad!(RECORDING.get()));
/// assert!(RECORDING.get());
/// # Ok::<(), grad_runtime::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a gradient backend",
    label = "does not implement `grad_runtime::Backend`",
    note = "a backend is `Cpu`, `Mlx`, `Torch`, or a type of your own that implements `Backend`"
)]
pub trait Backend: Sync {
    /// The name that identifies the backend, in lower case: no other may have it, installed or not.
    fn name(&self) -> &'static str;

    /// The mode in force on the calling thread.
    fn grad_mode(&self) -> GradMode;

    /// Puts `mode` in force on the calling thread. Must not panic.
    ///
    /// A backend without an inference mode of its own treats [`GradMode::Inference`] as [`GradMode::NoGrad`], and says so
    /// when it is asked; scopes remember what they wanted.
    fn set_grad_mode(&self, mode: GradMode);

    /// The lane that keeps this backend's mode; only this crate's own backends have one.
    #[doc(hidden)]
    fn lane(&self) -> Option<Lane> {
        None
    }
}

/// This thread's own mode: always there, switched by every universal scope, and what a pure-Rust autograd engine
/// consults through [`is_grad_enabled`](crate::is_grad_enabled). The CPU fallback, `cpu::Array`, is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu;

/// Apple's MLX.
///
/// MLX has no switch of its own: gradients exist only inside a transform such as `value_and_grad`. Its mode is kept
/// here, for each thread, and obeyed wherever `mlx::Array` hands out a new array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mlx;

impl Mlx {
    /// Whether MLX can be used in this process; if not, the error says why: built without the feature `mlx` or
    /// without finding MLX, or libmlx is missing, of another version, or switched off.
    ///
    /// Scopes need none of this: without MLX, they are still scopes.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::Error::Unavailable).
    ///
    /// ```
    /// use grad_runtime::Mlx;
    ///
    /// match Mlx::available() {
    ///     Ok(()) => println!("MLX is ready"),
    ///     Err(why) => println!("on the CPU, because {why}"),
    /// }
    /// ```
    pub fn available() -> Result<()> {
        #[cfg(feature = "mlx")]
        return crate::mlx::available();
        #[cfg(not(feature = "mlx"))]
        return Err(Unavailable {
            backend: "mlx",
            reason: "this program was built without the feature `mlx` of grad-runtime".into(),
        }
        .into());
    }
}

macro_rules! kept_in_a_lane {
    ($($backend:ident $name:literal),*) => {$(
        impl Backend for $backend {
            fn name(&self) -> &'static str {
                $name
            }

            fn grad_mode(&self) -> GradMode {
                lanes::mode(Lane::$backend)
            }

            fn set_grad_mode(&self, mode: GradMode) {
                lanes::set_mode(Lane::$backend, mode);
            }

            fn lane(&self) -> Option<Lane> {
                Some(Lane::$backend)
            }
        }
    )*};
}
kept_in_a_lane!(Cpu "cpu", Mlx "mlx");

/// Adds `backend` to those that every universal scope switches, from the next scope on and for the rest of the
/// process. [`Cpu`] and [`Mlx`] are always among them; with the feature `torch`,
/// [`Torch`](crate::Torch) is from the first such scope after libtorch was loaded.
///
/// # Errors
///
/// [`Error::AlreadyInstalled`](crate::Error::AlreadyInstalled) if a backend of that name is there.
///
/// See [`Backend`] for an example.
pub fn install(backend: &'static dyn Backend) -> Result<()> {
    let name = backend.name();
    if [Cpu.name(), Mlx.name()].contains(&name) {
        return Err(AlreadyInstalled { name }.into());
    }
    let mut place = &INSTALLED;
    let mut new = Box::new(Installed { backend, next: OnceLock::new() });
    loop {
        match place.get() {
            Some(taken) if taken.backend.name() == name => return Err(AlreadyInstalled { name }.into()),
            Some(taken) => place = &taken.next,
            None => match place.set(new) {
                Ok(()) => {
                    #[cfg(feature = "torch")]
                    switch::somebody_is_installed();
                    return Ok(());
                }
                Err(outrun) => new = outrun, // Another thread was faster: look at what it installed.
            },
        }
    }
}

/// The switch that MLX itself has, in an MLX that has one.
static SWITCH_OF_MLX: OnceLock<&'static dyn Backend> = OnceLock::new();

/// Installs MLX's own switch, which selective scopes on [`Mlx`] turn too.
#[cfg(feature = "mlx")]
pub(crate) fn install_for_mlx(switch: &'static dyn Backend) {
    // A program that has installed one of that name keeps it.
    if install(switch).is_ok() {
        let _ = SWITCH_OF_MLX.set(switch);
    }
}

/// The switch of a backend whose mode is kept in a lane.
pub(crate) fn switch_beside(lane: Lane) -> Option<&'static dyn Backend> {
    match lane {
        Lane::Mlx => SWITCH_OF_MLX.get().copied(),
        Lane::Cpu => None,
    }
}

/// The installed backends: a list that only grows, so that scopes read it without a lock.
static INSTALLED: OnceLock<Box<Installed>> = OnceLock::new();

struct Installed {
    backend: &'static dyn Backend,
    next: OnceLock<Box<Installed>>,
}

/// Every backend that universal scopes switch, [`Cpu`] and [`Mlx`] first.
///
/// ```
/// let names: Vec<_> = grad_runtime::installed().map(|backend| backend.name()).collect();
/// assert_eq!(names[..2], ["cpu", "mlx"]);
/// ```
pub fn installed() -> impl Iterator<Item = &'static dyn Backend> {
    let kept: [&'static dyn Backend; 2] = [&Cpu, &Mlx];
    // Asked first, since that may find one.
    let switched = any_with_a_switch().then(with_a_switch);
    kept.into_iter().chain(switched.into_iter().flatten())
}

pub(crate) fn with_a_switch() -> impl Iterator<Item = &'static dyn Backend> {
    std::iter::successors(INSTALLED.get(), |at| at.next.get()).map(|at| at.backend)
}

/// Whether a universal scope has any backend to switch beside this thread's lanes.
#[inline]
pub(crate) fn any_with_a_switch() -> bool {
    #[cfg(feature = "torch")]
    return switch::worth_a_look() && look();
    #[cfg(not(feature = "torch"))]
    return INSTALLED.get().is_some();
}

/// Lets libtorch be noticed, before the question is answered.
#[cfg(feature = "torch")]
#[cold]
fn look() -> bool {
    switch::notice();
    INSTALLED.get().is_some()
}
