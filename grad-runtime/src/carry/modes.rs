//! `Modes`: the modes of a thread, each backend's own, taken down to be put in force elsewhere.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Mutex, PoisonError};

use crate::backend::{Backend, Cpu, Mlx, any_with_a_switch, with_a_switch};
use crate::debt::{Debtor, mode_in_force};
use crate::guard::GradGuard;
use crate::lanes::{Swap, mode_in, modes, modes_of};
use crate::mode::GradMode;

/// The modes of every installed backend on one thread at one moment, or one mode for all of them.
///
/// It is what [`Carry`](crate::Carry) and [`carry`](fn@crate::carry) take along. Use it by itself where neither fits,
/// such as a pool that calls back:
///
/// ```
/// use grad_runtime::{GradMode, Modes, assert_grad_mode, no_grad};
///
/// let modes = no_grad! { Modes::current() };
/// std::thread::spawn(move || {
///     let _guard = modes.enter();
///     assert_grad_mode(GradMode::NoGrad);
/// })
/// .join()
/// .unwrap();
/// ```
///
/// What is taken down is each backend's mode, not the scopes that made it: on the other side, `enable_grad` lifts a
/// carried `no_grad`, and not a carried inference mode. A backend that was installed since keeps the mode that it has.
#[derive(Clone, Copy)]
pub struct Modes(&'static Snapshot);

/// What `Modes` refers to.
pub struct Snapshot {
    lanes: u64,
    /// The modes of backends with a switch of their own.
    switched: Vec<(&'static dyn Backend, GradMode)>,
    /// The mode of such backends that are not listed.
    others: Option<GradMode>,
}

use GradMode::{Enabled, Inference, NoGrad};

/// One mode for all, in the order of `rank`.
static UNIFORM: [Snapshot; 3] = [
    Snapshot::of_lanes(Enabled, Enabled, Some(Enabled)),
    Snapshot::of_lanes(NoGrad, NoGrad, Some(NoGrad)),
    Snapshot::of_lanes(Inference, Inference, Some(Inference)),
];

/// What can be found where no backend has a switch of its own: by the CPU's mode, then by MLX's.
static OF_LANES: [[Snapshot; 3]; 3] = {
    const fn row(cpu: GradMode) -> [Snapshot; 3] {
        [
            Snapshot::of_lanes(cpu, Enabled, None),
            Snapshot::of_lanes(cpu, NoGrad, None),
            Snapshot::of_lanes(cpu, Inference, None),
        ]
    }
    [row(Enabled), row(NoGrad), row(Inference)]
};

/// What was found beside: kept for good, since there are few modes and few backends to combine.
static SEEN: Mutex<Vec<&'static Snapshot>> = Mutex::new(Vec::new());

const fn rank(mode: GradMode) -> usize {
    match mode {
        Enabled => 0,
        NoGrad => 1,
        Inference => 2,
    }
}

impl Modes {
    /// The modes in force on this thread.
    ///
    /// ```
    /// use grad_runtime::{GradMode, Modes, no_grad};
    ///
    /// assert_eq!(format!("{:?}", no_grad! { Modes::current() }), r#"{"cpu": NoGrad, "mlx": NoGrad}"#);
    /// ```
    #[must_use]
    #[inline]
    pub fn current() -> Self {
        if any_with_a_switch() {
            return Self::kept(Snapshot {
                lanes: modes(),
                switched: with_a_switch().map(|backend| (backend, mode_in_force(backend))).collect(),
                others: None,
            });
        }
        Self(&OF_LANES[rank(Cpu.grad_mode())][rank(Mlx.grad_mode())])
    }

    /// `mode` for every backend that is installed when it is put in force.
    ///
    /// ```
    /// use grad_runtime::{GradMode, Modes, grad_mode, inference_mode};
    ///
    /// let _serving = inference_mode(true);
    /// let _guard = Modes::all(GradMode::NoGrad).enter();
    /// assert_eq!(grad_mode(), GradMode::NoGrad);
    /// ```
    #[must_use]
    pub fn all(mode: GradMode) -> Self {
        Self(&UNIFORM[rank(mode)])
    }

    /// Puts these modes in force on this thread, exactly, until the guard is dropped.
    ///
    /// See [`Modes`] for an example.
    #[inline]
    pub fn enter(self) -> GradGuard {
        self.0.enter()
    }

    /// The same as a reference, for closures that borrow what they use.
    #[must_use]
    #[doc(hidden)]
    pub fn lasting(self) -> &'static Snapshot {
        self.0
    }

    #[cold]
    fn kept(found: Snapshot) -> Self {
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = seen.iter().find(|known| known.is(&found)) {
            return Self(same);
        }
        let new: &'static Snapshot = Box::leak(Box::new(found));
        seen.push(new);
        Self(new)
    }
}

// A backend is never left half-way: it promises not to panic.
impl UnwindSafe for Modes {}
impl RefUnwindSafe for Modes {}

/// Whether every backend is in the same mode.
impl PartialEq for Modes {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0) // There is one snapshot of each kind.
    }
}

impl Eq for Modes {}

/// Each backend's name and its mode.
impl fmt::Debug for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept =
            [&Cpu as &'static dyn Backend, &Mlx].into_iter().map(|backend| (backend, self.0.mode_of(backend)));
        let all = kept.chain(self.0.switched.iter().copied());
        f.debug_map().entries(all.map(|(backend, mode)| (backend.name(), mode))).finish()
    }
}

impl Snapshot {
    const fn of_lanes(cpu: GradMode, mlx: GradMode, others: Option<GradMode>) -> Self {
        Self { lanes: modes_of(cpu, mlx), switched: Vec::new(), others }
    }

    #[inline]
    pub fn enter(&self) -> GradGuard {
        let switches = any_with_a_switch().then(|| self.switch());
        GradGuard::holding(Swap::to(self.lanes), switches)
    }

    #[cold] // Most processes have no such backends, and this is inlined everywhere.
    fn switch(&self) -> Debtor {
        let listed = self.switched.iter().copied();
        let others = with_a_switch().filter_map(|backend| Some((backend, self.others?)));
        Debtor::of_each(listed.chain(others))
    }

    fn mode_of(&self, backend: &dyn Backend) -> GradMode {
        backend.lane().map_or(Enabled, |lane| mode_in(self.lanes, lane))
    }

    fn is(&self, other: &Self) -> bool {
        let names_and_modes = |(backend, mode): &(&'static dyn Backend, GradMode)| (backend.name(), *mode);
        self.lanes == other.lanes
            && self.others == other.others
            && self.switched.iter().map(names_and_modes).eq(other.switched.iter().map(names_and_modes))
    }
}
