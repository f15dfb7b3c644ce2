//! The installed backends: those that every universal scope switches.

use crate::backend::{ALWAYS_INSTALLED, Backend};
use crate::error::AlreadyInstalled;
use crate::probe;
use crate::sync::{OnceLock, shared};
use crate::thread_state::{self, Slot};

shared! {
    /// The installed backends that have a switch of their own: a list that only grows, so scopes read it without a lock.
    static INSTALLED: OnceLock<Box<Node>> = OnceLock::new();

    /// The switch of MLX itself, in a version of MLX that has one.
    static NATIVE_SWITCH_OF_MLX: OnceLock<&'static dyn Backend> = OnceLock::new();
}

struct Node {
    backend: &'static dyn Backend,
    next: OnceLock<Box<Node>>,
}

/// Adds `backend` to those that every universal scope switches, from the next scope on and for the rest of the process.
///
/// [`Cpu`](crate::Cpu) and [`Mlx`](crate::Mlx) are always installed. With the feature `torch`, [`Torch`](crate::Torch) is installed by the first
/// universal scope after libtorch was loaded. See [`Backend`] for an example.
///
/// # Errors
///
/// [`AlreadyInstalled`] if a backend of that name is installed.
pub fn install(backend: &'static dyn Backend) -> Result<(), AlreadyInstalled> {
    let name = backend.name();
    if ALWAYS_INSTALLED.iter().any(|backend| backend.name() == name) {
        return Err(AlreadyInstalled { name });
    }
    let mut end: &OnceLock<_> = &INSTALLED;
    let mut new = Box::new(Node { backend, next: OnceLock::new() });
    loop {
        match end.get() {
            Some(node) if node.backend.name() == name => {
                // The thread that installed it may not have come to this yet, and scopes of this thread are to switch it.
                thread_state::mark_installed(node.backend.slot());
                return Err(AlreadyInstalled { name });
            }
            Some(node) => end = &node.next,
            None => match end.set(new) {
                Ok(()) => {
                    thread_state::mark_installed(backend.slot());
                    return Ok(());
                }
                Err(rejected) => new = rejected, // Another thread was faster: compare with what it installed.
            },
        }
    }
}

/// Installs MLX's own switch, which selective scopes for [`Mlx`](crate::Mlx) turn too.
///
/// ```
/// use std::cell::Cell;
/// use grad_core::{Backend, GradMode, Mlx, Scope, __private::install_native_switch_of_mlx};
///
/// thread_local!(static MODE: Cell<GradMode> = const { Cell::new(GradMode::Enabled) });
///
/// struct NativeSwitch;
/// impl Backend for NativeSwitch {
///     fn name(&self) -> &'static str { "mlx-native" }
///     fn grad_mode(&self) -> GradMode { MODE.get() }
///     fn set_grad_mode(&self, mode: GradMode) { MODE.set(mode) }
/// }
///
/// install_native_switch_of_mlx(&NativeSwitch);
/// let guard = Scope::NoGrad.enter_for(&Mlx);
/// assert_eq!(MODE.get(), GradMode::NoGrad);
/// drop(guard);
/// assert_eq!(MODE.get(), GradMode::Enabled);
/// ```
pub fn install_native_switch_of_mlx(switch: &'static dyn Backend) {
    // If the program has installed a backend of that name, that one stays.
    if install(switch).is_ok() {
        let _ = NATIVE_SWITCH_OF_MLX.set(switch);
    }
}

/// Returns the native switch of a backend whose mode is stored in a slot; libtorch's is its slot's.
pub(crate) fn native_switch(slot: Slot) -> Option<&'static dyn Backend> {
    match slot {
        Slot::Mlx => NATIVE_SWITCH_OF_MLX.get().copied(),
        Slot::Cpu | Slot::Torch => None,
    }
}

/// Returns every backend that universal scopes switch, [`Cpu`](crate::Cpu) and [`Mlx`](crate::Mlx) first.
///
/// ```
/// let names: Vec<_> = grad_core::installed().map(|backend| backend.name()).collect();
/// assert_eq!(names[..2], ["cpu", "mlx"]);
/// ```
pub fn installed() -> impl Iterator<Item = &'static dyn Backend> {
    // Called first, since it may install one.
    let switches = any_installed_switch().then(installed_switches);
    ALWAYS_INSTALLED.into_iter().chain(switches.into_iter().flatten())
}

/// Returns the installed backends that have a switch of their own, in the order of installation.
pub(crate) fn installed_switches() -> impl Iterator<Item = &'static dyn Backend> {
    std::iter::successors(INSTALLED.get(), |node| node.next.get()).map(|node| node.backend)
}

/// Returns whether a universal scope has any backend to switch besides this thread's slots.
#[inline]
pub(crate) fn any_installed_switch() -> bool {
    probe::run_if_due();
    thread_state::any_switch()
}

/// Installs a backend that the probe has found.
#[cfg(feature = "torch")]
pub(crate) fn install_found(backend: &'static dyn Backend) {
    // If the program has installed it, or another backend of that name, that one stays.
    let _ = install(backend);
}
