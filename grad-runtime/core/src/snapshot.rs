//! `ModeSnapshot`: the modes of a thread, each backend's own, to be set on another thread or at another time.

use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::PoisonError;

use crate::backend::{ALWAYS_INSTALLED, Backend, Cpu, Mlx};
use crate::guard::GradGuard;
use crate::mode::GradMode;
use crate::places;
use crate::registry::{any_installed_switch, installed_switches};
use crate::saved::mode_in_force;
use crate::sync::{Mutex, shared};
use crate::thread_state::{Entered, Slot, is_slow, mode_in_half, modes, pack};

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
    switches: Switches,
    /// Where the snapshot was taken, if places were recorded there.
    taken_at: Option<&'static Location<'static>>,
}

/// The modes of backends with a native switch.
enum Switches {
    /// Those of the listed backends. Others keep the mode that they have.
    Listed(Vec<(&'static dyn Backend, GradMode)>),
    /// One mode for all that are installed when the snapshot is entered.
    All(GradMode),
}

/// One mode for all, in the order of `index`.
static UNIFORM: [Snapshot; 3] =
    [Snapshot::uniform(Enabled), Snapshot::uniform(NoGrad), Snapshot::uniform(Inference)];

/// Every snapshot of a process in which no backend has a switch: by the CPU's mode, then by MLX's.
static OF_SLOTS: [[Snapshot; 3]; 3] = {
    const fn row(cpu: GradMode) -> [Snapshot; 3] {
        [Snapshot::of_slots(cpu, Enabled), Snapshot::of_slots(cpu, NoGrad), Snapshot::of_slots(cpu, Inference)]
    }
    [row(Enabled), row(NoGrad), row(Inference)]
};

shared! {
    /// Other snapshots, stored for good: there are few modes and few backends to combine.
    static INTERNED: Mutex<Vec<&'static Snapshot>> = Mutex::new(Vec::new());
}

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
    #[track_caller]
    pub fn current() -> Self {
        if any_installed_switch() || is_slow() {
            return Self::intern(Snapshot {
                slots: modes(),
                switches: Switches::Listed(
                    installed_switches().map(|backend| (backend, mode_in_force(backend))).collect(),
                ),
                taken_at: places::are_recorded().then_some(Location::caller()),
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
    #[track_caller]
    pub fn all(mode: GradMode) -> Self {
        if places::are_recorded() {
            return Self::intern(Snapshot { taken_at: Some(Location::caller()), ..Snapshot::uniform(mode) });
        }
        Self(&UNIFORM[index(mode)])
    }

    /// Returns the place where the snapshot was taken, if places were recorded there.
    pub(crate) fn taken_at(self) -> Option<&'static Location<'static>> {
        self.0.taken_at
    }

    /// Sets exactly these modes on this thread until the guard is dropped.
    ///
    /// See [`ModeSnapshot`] for an example.
    #[inline]
    #[track_caller]
    pub fn enter(self) -> GradGuard {
        self.0.enter()
    }

    /// Returns a static reference to the same snapshot, for closures that capture by reference.
    ///
    /// Snapshots of one place are stored once for each combination of modes, or they would take more and more memory:
    ///
    /// ```
    /// use grad_core::{Cpu, GradMode, ModeSnapshot, Scope, watch_scopes};
    ///
    /// let _watch = watch_scopes(); // Else these are statics.
    /// let current = || std::ptr::from_ref(ModeSnapshot::current().as_static());
    /// let all = |mode| std::ptr::from_ref(ModeSnapshot::all(mode).as_static());
    /// let first = current();
    /// assert_eq!(first, current());
    /// assert_ne!(first, std::ptr::from_ref(ModeSnapshot::current().as_static()), "of another place");
    /// let guard = Scope::NoGrad.enter_for(&Cpu);
    /// assert_ne!(first, current(), "of other modes");
    /// drop(guard);
    /// assert_eq!(first, current());
    /// assert_eq!(all(GradMode::NoGrad), all(GradMode::NoGrad));
    /// assert_ne!(all(GradMode::NoGrad), all(GradMode::Inference));
    /// ```
    #[must_use]
    #[doc(hidden)]
    pub fn as_static(self) -> &'static Snapshot {
        self.0
    }

    /// Returns the snapshot of a process in which no backend has a switch.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn of_slots(cpu: GradMode, mlx: GradMode) -> Self {
        Self(&OF_SLOTS[index(cpu)][index(mlx)])
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

impl From<&'static Snapshot> for ModeSnapshot {
    fn from(snapshot: &'static Snapshot) -> Self {
        Self(snapshot)
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
        let of_slots = ALWAYS_INSTALLED
            .iter()
            .filter_map(|backend| Some((backend, mode_in_half(self.0.slots, backend.slot()?))));
        let mut map = f.debug_map();
        map.entries(of_slots.map(|(backend, mode)| (backend.name(), mode)));
        if let Switches::Listed(listed) = &self.0.switches {
            map.entries(listed.iter().map(|(backend, mode)| (backend.name(), mode)));
        }
        map.finish()
    }
}

impl Snapshot {
    const fn of_slots(cpu: GradMode, mlx: GradMode) -> Self {
        Self { slots: pack(cpu, mlx), switches: Switches::Listed(Vec::new()), taken_at: None }
    }

    const fn uniform(mode: GradMode) -> Self {
        Self { slots: pack(mode, mode), switches: Switches::All(mode), taken_at: None }
    }

    /// Sets exactly these modes on this thread until the guard is dropped.
    #[inline]
    #[track_caller]
    pub fn enter(&'static self) -> GradGuard {
        GradGuard::new(Entered::exactly(self))
    }

    /// Returns the modes of the slots, as `pack` makes them.
    #[inline]
    pub(crate) fn slots(&self) -> u64 {
        self.slots
    }

    /// Returns the mode that entering this snapshot sets for `backend`; `None` if it leaves the backend alone.
    pub(crate) fn mode_of(&self, backend: &dyn Backend) -> Option<GradMode> {
        match backend.slot() {
            Some(slot @ (Slot::Cpu | Slot::Mlx)) => Some(mode_in_half(self.slots, slot)),
            _ => self.mode_of_switch(backend.name()),
        }
    }

    /// Returns the mode that entering this snapshot sets for a backend with a switch; `None` if it leaves the backend alone.
    fn mode_of_switch(&self, name: &str) -> Option<GradMode> {
        match &self.switches {
            Switches::Listed(listed) => {
                listed.iter().find(|(backend, _)| backend.name() == name).map(|(_, mode)| *mode)
            }
            Switches::All(mode) => Some(*mode),
        }
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
            && self.taken_at == other.taken_at
            && match (&self.switches, &other.switches) {
                (Switches::Listed(a), Switches::Listed(b)) => {
                    a.iter().map(names_and_modes).eq(b.iter().map(names_and_modes))
                }
                (Switches::All(a), Switches::All(b)) => a == b,
                _ => false,
            }
    }
}
