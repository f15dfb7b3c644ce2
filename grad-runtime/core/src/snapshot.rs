//! `ModeSnapshot`: the modes of a thread, each backend's own, to be set on another thread or at another time.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Mutex, PoisonError};

use crate::backend::{Backend, Cpu, Mlx};
use crate::guard::GradGuard;
use crate::mode::GradMode;
use crate::registry::{any_installed_switch, installed_switches};
use crate::saved::{RestoreGuard, mode_in_force};
use crate::thread_state::{Entered, mode_in, modes, pack};

use GradMode::{Enabled, Inference, NoGrad};

/// The modes of every installed backend on one thread at one moment, or one mode for all of them.
///
/// grad-runtime's `carry` and `Carry` are built on it. Use it directly where neither fits, such as a thread pool with
/// callbacks:
///
/// ```
/// use grad_core::{GradMode, ModeSnapshot, assert_grad_mode, no_grad};
///
/// let guard = no_grad();
/// let modes = ModeSnapshot::current();
/// std::thread::spawn(move || {
///     let _guard = modes.enter();
///     assert_grad_mode(GradMode::NoGrad);
/// })
/// .join()
/// .unwrap();
/// ```
///
/// A snapshot stores modes, not scopes: on the other side, `enable_grad` lifts a snapshot's `no_grad`, and not its inference
/// mode. A backend that was installed after the snapshot keeps the mode that it has.
#[derive(Clone, Copy)]
pub struct ModeSnapshot(&'static Snapshot);

/// The content of a [`ModeSnapshot`].
pub struct Snapshot {
    slots: u64,
    /// The modes of backends with a switch of their own.
    switches: Vec<(&'static dyn Backend, GradMode)>,
    /// The mode of such backends that are not listed.
    others: Option<GradMode>,
}

/// One mode for all, in the order of `index`.
static UNIFORM: [Snapshot; 3] = [
    Snapshot::of_slots(Enabled, Enabled, Some(Enabled)),
    Snapshot::of_slots(NoGrad, NoGrad, Some(NoGrad)),
    Snapshot::of_slots(Inference, Inference, Some(Inference)),
];

/// Every snapshot of a process in which no backend has a switch: by the CPU's mode, then by MLX's.
static OF_SLOTS: [[Snapshot; 3]; 3] = {
    const fn row(cpu: GradMode) -> [Snapshot; 3] {
        [
            Snapshot::of_slots(cpu, Enabled, None),
            Snapshot::of_slots(cpu, NoGrad, None),
            Snapshot::of_slots(cpu, Inference, None),
        ]
    }
    [row(Enabled), row(NoGrad), row(Inference)]
};

/// Other snapshots, stored for good: there are few modes and few backends to combine.
static INTERNED: Mutex<Vec<&'static Snapshot>> = Mutex::new(Vec::new());

const fn index(mode: GradMode) -> usize {
    match mode {
        Enabled => 0,
        NoGrad => 1,
        Inference => 2,
    }
}

impl ModeSnapshot {
    /// Returns the modes in force on this thread.
    ///
    /// ```
    /// let _guard = grad_core::no_grad();
    /// assert_eq!(format!("{:?}", grad_core::ModeSnapshot::current()), r#"{"cpu": NoGrad, "mlx": NoGrad}"#);
    /// ```
    #[must_use]
    #[inline]
    pub fn current() -> Self {
        if any_installed_switch() {
            return Self::intern(Snapshot {
                slots: modes(),
                switches: installed_switches().map(|backend| (backend, mode_in_force(backend))).collect(),
                others: None,
            });
        }
        Self(&OF_SLOTS[index(Cpu.grad_mode())][index(Mlx.grad_mode())])
    }

    /// Returns the snapshot of `mode` for every backend that is installed when it is entered.
    ///
    /// ```
    /// use grad_core::{GradMode, ModeSnapshot, grad_mode, inference_mode};
    ///
    /// let _serving = inference_mode(true);
    /// let _guard = ModeSnapshot::all(GradMode::NoGrad).enter();
    /// assert_eq!(grad_mode(), GradMode::NoGrad);
    /// ```
    #[must_use]
    pub fn all(mode: GradMode) -> Self {
        Self(&UNIFORM[index(mode)])
    }

    /// Sets exactly these modes on this thread until the guard is dropped.
    ///
    /// See [`ModeSnapshot`] for an example.
    #[inline]
    pub fn enter(self) -> GradGuard {
        self.0.enter()
    }

    /// Returns a static reference to the same snapshot, for closures that capture by reference.
    #[must_use]
    #[doc(hidden)]
    pub fn as_static(self) -> &'static Snapshot {
        self.0
    }

    #[cold]
    fn intern(found: Snapshot) -> Self {
        let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = interned.iter().find(|known| known.is(&found)) {
            return Self(same);
        }
        let new: &'static Snapshot = Box::leak(Box::new(found));
        interned.push(new);
        Self(new)
    }
}

// A backend is never left in between two modes: `set_grad_mode` must not panic.
impl UnwindSafe for ModeSnapshot {}
impl RefUnwindSafe for ModeSnapshot {}

/// Compares modes: two snapshots are equal if entering either sets every backend that is installed now to the same mode.
///
/// ```
/// use grad_core::{GradMode, ModeSnapshot};
///
/// let _guard = grad_core::no_grad();
/// assert_eq!(ModeSnapshot::current(), ModeSnapshot::all(GradMode::NoGrad));
/// ```
impl PartialEq for ModeSnapshot {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Equal snapshots are mostly the same one.
        std::ptr::eq(self.0, other.0) || self.0.sets_the_same_modes_as(other.0)
    }
}

impl Eq for ModeSnapshot {}

/// Prints each backend's name and its mode.
impl fmt::Debug for ModeSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots: [&'static dyn Backend; 2] = [&Cpu, &Mlx];
        let of_slots = slots.into_iter().map(|backend| (backend.name(), self.0.mode_of_slot(backend)));
        let of_switches = self.0.switches.iter().map(|(backend, mode)| (backend.name(), *mode));
        let others = self.0.others.map(|mode| ("others", mode));
        // One mode for all says nothing new about the others.
        let others = others.filter(|_| !self.0.switches.is_empty());
        f.debug_map().entries(of_slots.chain(of_switches).chain(others)).finish()
    }
}

impl Snapshot {
    const fn of_slots(cpu: GradMode, mlx: GradMode, others: Option<GradMode>) -> Self {
        Self { slots: pack(cpu, mlx), switches: Vec::new(), others }
    }

    /// Sets exactly these modes on this thread until the guard is dropped.
    #[inline]
    pub fn enter(&self) -> GradGuard {
        let switches = any_installed_switch().then(|| self.switch());
        GradGuard::new(Entered::exactly(self.slots), switches)
    }

    #[cold] // Most processes have no such backends, and this is inlined everywhere.
    fn switch(&self) -> RestoreGuard {
        let listed = self.switches.iter().copied();
        let others = installed_switches().filter_map(|backend| Some((backend, self.others?)));
        RestoreGuard::for_each(listed.chain(others))
    }

    fn mode_of_slot(&self, backend: &dyn Backend) -> GradMode {
        backend.slot().map_or(Enabled, |slot| mode_in(self.slots, slot))
    }

    /// Returns the mode that entering this snapshot sets for a backend with a switch; `None` if it leaves the backend alone.
    fn mode_of_switch(&self, name: &str) -> Option<GradMode> {
        let listed = self.switches.iter().find(|(backend, _)| backend.name() == name);
        listed.map(|(_, mode)| *mode).or(self.others)
    }

    fn sets_the_same_modes_as(&self, other: &Self) -> bool {
        self.slots == other.slots
            && installed_switches().all(|backend| {
                let name = backend.name();
                self.mode_of_switch(name) == other.mode_of_switch(name)
            })
    }

    /// Returns whether both have the same content.
    fn is(&self, other: &Self) -> bool {
        let names_and_modes = |(backend, mode): &(&'static dyn Backend, GradMode)| (backend.name(), *mode);
        self.slots == other.slots
            && self.others == other.others
            && self.switches.iter().map(names_and_modes).eq(other.switches.iter().map(names_and_modes))
    }
}
