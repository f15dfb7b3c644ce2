//! The `Backend` trait, the two backends whose mode this crate keeps, and the list of installed ones.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::mode::{self, GradMode, Lane, Scope};

/// A library whose gradient recording can be switched, thread by thread.
///
/// Implement it for an autograd engine that has a switch of its own and [`install`] it: every universal scope then
/// switches that engine too. An engine without a switch needs none of this: it asks
/// [`is_grad_enabled`](crate::is_grad_enabled) before it records.
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
pub trait Backend: Sync {
    /// The name that identifies the backend, in lower case.
    fn name(&self) -> &'static str;

    /// The mode in force on the calling thread.
    fn grad_mode(&self) -> GradMode;

    /// Puts `mode` in force on the calling thread. Must not panic.
    ///
    /// A backend without an inference mode of its own treats [`GradMode::Inference`] as [`GradMode::NoGrad`].
    fn set_grad_mode(&self, mode: GradMode);

    /// The lane that keeps this backend's mode; only this crate's own backends have one.
    #[doc(hidden)]
    fn lane(&self) -> Option<Lane> {
        None
    }
}

/// This thread's own mode: always there, switched by every universal scope, and what a pure-Rust autograd engine
/// consults through [`is_grad_enabled`](crate::is_grad_enabled). The CPU fallback ([`cpu`](crate::cpu)) is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu;

/// Apple's MLX.
///
/// MLX has no switch of its own: gradients exist only inside a transform such as `value_and_grad`. Its mode is kept
/// here, for each thread, and obeyed wherever [`mlx::Array`](crate::mlx) hands out a new array.
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
    /// [`Error::Unavailable`].
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
        return Err(Error::Unavailable {
            backend: "mlx",
            reason: "this program was built without the feature `mlx` of grad-runtime".into(),
        });
    }
}

macro_rules! kept_in_a_lane {
    ($($backend:ident $name:literal),*) => {$(
        impl Backend for $backend {
            fn name(&self) -> &'static str {
                $name
            }

            fn grad_mode(&self) -> GradMode {
                mode::lane_mode(Lane::$backend)
            }

            fn set_grad_mode(&self, mode: GradMode) {
                mode::set_lane_mode(Lane::$backend, mode);
            }

            fn lane(&self) -> Option<Lane> {
                Some(Lane::$backend)
            }
        }
    )*};
}
kept_in_a_lane!(Cpu "cpu", Mlx "mlx");

/// Adds `backend` to those that every universal scope switches, from the next scope on and for the rest of the
/// process. [`Cpu`] and [`Mlx`] are always among them.
///
/// # Errors
///
/// [`Error::AlreadyInstalled`] if a backend of that name is there.
///
/// See [`Backend`] for an example.
pub fn install(backend: &'static dyn Backend) -> Result<()> {
    let name = backend.name();
    if [Cpu.name(), Mlx.name()].contains(&name) {
        return Err(Error::AlreadyInstalled { name });
    }
    let mut place = &INSTALLED;
    let mut new = Box::new(Installed {
        backend,
        next: OnceLock::new(),
    });
    loop {
        match place.set(new) {
            Ok(()) => return Ok(()),
            Err(rejected) => new = rejected,
        }
        let taken = place
            .get()
            .expect("set() was refused, so the place is taken");
        if taken.backend.name() == name {
            return Err(Error::AlreadyInstalled { name });
        }
        place = &taken.next;
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
/// assert_eq!(names, ["cpu", "mlx"]);
/// ```
pub fn installed() -> impl Iterator<Item = &'static dyn Backend> {
    let kept: [&'static dyn Backend; 2] = [&Cpu, &Mlx];
    kept.into_iter().chain(with_a_switch())
}

fn with_a_switch() -> impl Iterator<Item = &'static dyn Backend> {
    std::iter::successors(INSTALLED.get(), |at| at.next.get()).map(|at| at.backend)
}

/// Whether a universal scope has any backend to switch beside this thread's lanes.
#[inline]
pub(crate) fn any_with_a_switch() -> bool {
    INSTALLED.get().is_some()
}

/// A mode that a guard found in a backend with a switch of its own, and owes it back.
struct Debt {
    guard: NonZeroU32,
    backend: &'static dyn Backend,
    found: GradMode,
}

thread_local! {
    // Outermost guard first. No destructor, as for the lanes: scopes work while a thread is torn down.
    static DEBTS: ManuallyDrop<RefCell<Vec<Debt>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
}

/// A number for a new guard on this thread, higher than that of any other guard in debt.
pub(crate) fn next_guard() -> NonZeroU32 {
    DEBTS.with(|debts| {
        let last = debts.borrow().last().map_or(0, |debt| debt.guard.get());
        NonZeroU32::MIN.saturating_add(last)
    })
}

/// Switches the installed backends for `guard`.
pub(crate) fn switch_installed(guard: NonZeroU32, scope: Scope) {
    with_a_switch().for_each(|backend| switch(guard, scope, backend));
}

/// Switches one backend for `guard`.
pub(crate) fn switch(guard: NonZeroU32, scope: Scope, backend: &'static dyn Backend) {
    let found = backend.grad_mode();
    DEBTS.with(|debts| {
        debts.borrow_mut().push(Debt {
            guard,
            backend,
            found,
        })
    });
    let wanted = scope.applied_to(found);
    if wanted != found {
        backend.set_grad_mode(wanted);
    }
}

/// Pays what `guard` owes. A backend that a guard entered later has switched too stays as that one left it, and that
/// guard inherits the debt.
pub(crate) fn restore(guard: NonZeroU32) {
    while let Some(debt) = take_debt(guard) {
        debt.backend.set_grad_mode(debt.found);
    }
}

/// Takes the last debt of `guard` that no later guard inherits. No borrow is held when it returns, so a backend may
/// use scopes itself.
fn take_debt(guard: NonZeroU32) -> Option<Debt> {
    DEBTS.with(|debts| {
        let mut debts = debts.borrow_mut();
        // Guards' numbers only grow along the list.
        while let Some(at) = debts.partition_point(|debt| debt.guard <= guard).checked_sub(1)
            && debts[at].guard == guard
        {
            let debt = debts.remove(at);
            if debts.is_empty() {
                *debts = Vec::new(); // Gives the memory back: nothing else will.
            }
            let above = debts.iter_mut().skip(at);
            match above
                .into_iter()
                .find(|other| other.backend.name() == debt.backend.name())
            {
                Some(heir) => heir.found = debt.found,
                None => return Some(debt),
            }
        }
        None
    })
}
