//! What "off" means: the grad modes, how a scope changes the mode it finds, and this thread's own modes.
//!
//! Two backends have no switch of their own, the CPU and MLX, so this file keeps theirs: a *lane* each, packed into
//! one thread-local word. A universal scope then costs one swap of that word to enter and one to leave, whatever the
//! number of lanes.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;

/// Whether operations record what a gradient needs.
///
/// The order is that of how much is switched off: `Enabled < NoGrad < Inference`.
///
/// ```
/// use grad_runtime::GradMode;
///
/// assert_eq!(grad_runtime::grad_mode(), GradMode::Enabled);
/// let _guard = grad_runtime::inference_mode(true);
/// assert_eq!(grad_runtime::grad_mode(), GradMode::Inference);
/// assert!(!GradMode::Inference.is_enabled());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum GradMode {
    /// Operations are recorded. Every thread starts here.
    #[default]
    Enabled = 0b00,
    /// Operations are not recorded, and `enable_grad` may switch recording on again.
    NoGrad = 0b01,
    /// Operations are not recorded, and only `inference_mode(false)` switches recording on again.
    Inference = 0b11,
}

impl GradMode {
    /// Whether operations are recorded.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        matches!(self, Self::Enabled)
    }

    const fn from_bits(bits: u64) -> Self {
        match bits & MODE_BITS {
            0b00 => Self::Enabled,
            0b01 => Self::NoGrad,
            _ => Self::Inference,
        }
    }
}

/// What a scope asks of the mode that it finds: the common vocabulary behind the guards, the blocks and the
/// attributes.
///
/// ```
/// use grad_runtime::{GradMode, Scope};
///
/// assert_eq!(Scope::NoGrad.applied_to(GradMode::Enabled), GradMode::NoGrad);
/// assert_eq!(Scope::EnableGrad.applied_to(GradMode::NoGrad), GradMode::Enabled);
/// // Nothing but `inference_mode(false)` lifts inference mode.
/// assert_eq!(Scope::EnableGrad.applied_to(GradMode::Inference), GradMode::Inference);
/// assert_eq!(Scope::InferenceMode(false).applied_to(GradMode::Inference), GradMode::Enabled);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Record nothing, as `torch.no_grad`.
    NoGrad,
    /// Record again inside a `no_grad` scope, as `torch.enable_grad`.
    EnableGrad,
    /// Record nothing, for good (`true`), or leave both inference mode and `no_grad` (`false`), as
    /// `torch.inference_mode`.
    InferenceMode(bool),
}

impl Scope {
    /// [`Scope::EnableGrad`] if `enabled`, else [`Scope::NoGrad`], as `torch.set_grad_enabled`.
    #[must_use]
    pub const fn set_grad_enabled(enabled: bool) -> Self {
        if enabled {
            Self::EnableGrad
        } else {
            Self::NoGrad
        }
    }

    /// The mode inside this scope, entered where `found` is in force.
    #[must_use]
    pub const fn applied_to(self, found: GradMode) -> GradMode {
        GradMode::from_bits(self.applied_to_lanes(found as u64))
    }

    /// The one statement of how scopes change modes, for every lane of a word at once.
    #[inline]
    const fn applied_to_lanes(self, lanes: u64) -> u64 {
        match self {
            Self::NoGrad => lanes | EVERY_LANE * 0b01,
            Self::EnableGrad => {
                let inference = lanes & (EVERY_LANE * 0b10);
                (lanes & !(EVERY_LANE * MODE_BITS)) | inference | (inference >> 1)
            }
            Self::InferenceMode(true) => lanes | EVERY_LANE * MODE_BITS,
            Self::InferenceMode(false) => lanes & !(EVERY_LANE * MODE_BITS),
        }
    }
}

// A lane of the word, from its lowest bit: two bits of mode, one that says whether guards beneath the innermost one
// were dropped before it (`ORPHANED`), 28 bits that count the guards alive, and one that catches their overflow.
const LANE_WIDTH: u32 = 32;
const EVERY_LANE: u64 = (1 << LANE_WIDTH) | 1;
const MODE_BITS: u64 = 0b11;
const ORPHANED: u64 = 0b100;
const ONE_DEEPER: u64 = 0b1000;
const TOO_DEEP: u64 = 1 << (LANE_WIDTH - 1);

/// The part of the word that holds the mode of one backend without a switch of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// [`Cpu`](crate::Cpu)'s, which is also what [`grad_mode`] answers.
    Cpu,
    /// [`Mlx`](crate::Mlx)'s.
    Mlx,
}

impl Lane {
    const ALL: [Self; 2] = [Self::Cpu, Self::Mlx];

    const fn shift(self) -> u32 {
        self as u32 * LANE_WIDTH
    }

    pub(crate) const fn mask(self) -> u64 {
        0xffff_ffff << self.shift()
    }

    const fn of(self, word: u64) -> u64 {
        (word >> self.shift()) & 0xffff_ffff
    }
}

pub(crate) const ALL_LANES: u64 = u64::MAX;

thread_local! {
    // Neither has a destructor to run, so scopes still work in the destructors of other thread-locals.
    static LANES: Cell<u64> = const { Cell::new(0) };
    static ORPHANS: ManuallyDrop<RefCell<Vec<Orphan>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
}

/// The mode of this thread, as the innermost universal scope (or selective scope on [`Cpu`](crate::Cpu)) left it.
///
/// ```
/// use grad_runtime::{GradMode, grad_mode, no_grad};
///
/// assert_eq!(no_grad!(grad_mode()), GradMode::NoGrad);
/// assert_eq!(grad_mode(), GradMode::Enabled);
/// ```
#[must_use]
#[inline]
pub fn grad_mode() -> GradMode {
    lane_mode(Lane::Cpu)
}

/// Whether operations are recorded on this thread: `grad_mode() == GradMode::Enabled`.
///
/// This is what an autograd engine of your own asks before it records an operation.
///
/// ```
/// use grad_runtime::{is_grad_enabled, no_grad};
///
/// assert!(is_grad_enabled());
/// assert!(!no_grad!(is_grad_enabled()));
/// ```
#[must_use]
#[inline]
pub fn is_grad_enabled() -> bool {
    grad_mode().is_enabled()
}

#[inline]
pub(crate) fn lane_mode(lane: Lane) -> GradMode {
    GradMode::from_bits(lane.of(LANES.get()))
}

pub(crate) fn set_lane_mode(lane: Lane, mode: GradMode) {
    let others = LANES.get() & !(MODE_BITS << lane.shift());
    LANES.set(others | (mode as u64) << lane.shift());
}

/// What a guard must know to leave its scope: this thread's lanes before it and after.
#[derive(Debug)]
pub(crate) struct Swap {
    before: u64,
    entered: u64,
}

/// Enters `scope` on the lanes in `covered`.
#[inline]
pub(crate) fn enter(scope: Scope, covered: u64) -> Swap {
    let found = LANES.get();
    let changed = scope.applied_to_lanes(found) + EVERY_LANE * ONE_DEEPER;
    let entered = (found & !covered) | (changed & covered);
    if entered & (EVERY_LANE * TOO_DEEP) != 0 {
        too_deep();
    }
    LANES.set(entered);
    // Without the flag, so that a word that carries it never equals `entered`, and `leave` looks closer.
    let flags = EVERY_LANE * ORPHANED;
    Swap {
        before: found & !flags,
        entered: entered & !flags,
    }
}

/// Leaves the scope that `enter` returned `swap` for.
#[inline]
pub(crate) fn leave(swap: &Swap) {
    if LANES.get() == swap.entered {
        LANES.set(swap.before);
    } else {
        leave_lane_by_lane(swap);
    }
}

#[cold]
fn too_deep() -> ! {
    panic!(
        "more than 2^28 gradient scopes are alive on this thread: \
         guards are being leaked, for example with `std::mem::forget`"
    );
}

/// A guard dropped while guards entered after it on the same lane were alive. The lane keeps the mode that the
/// innermost of those established; the last of them to go puts back what this one had found.
struct Orphan {
    lane: Lane,
    depth: u64,
    found: GradMode,
}

/// The slow way out: this guard is not the innermost, or others below it went first, or somebody set a mode directly.
#[cold]
fn leave_lane_by_lane(swap: &Swap) {
    ORPHANS.with(|orphans| {
        let mut orphans = orphans.borrow_mut();
        let depth = |word: u64| word / ONE_DEEPER;
        for lane in Lane::ALL {
            let (before, entered) = (lane.of(swap.before), lane.of(swap.entered));
            if depth(before) == depth(entered) {
                continue; // This guard does not cover the lane.
            }
            let mut now = depth(lane.of(LANES.get()));
            let mut found = GradMode::from_bits(before);
            if now == depth(entered) {
                now -= 1;
                while let Some(at) = orphans
                    .iter()
                    .position(|o| (o.lane, o.depth) == (lane, now))
                {
                    found = orphans.swap_remove(at).found;
                    now -= 1;
                }
                let others = LANES.get() & !lane.mask();
                LANES.set(others | (now * ONE_DEEPER | found as u64) << lane.shift());
            } else {
                orphans.push(Orphan {
                    lane,
                    depth: depth(entered),
                    found,
                });
            }
        }
        let flags = EVERY_LANE * ORPHANED;
        if orphans.is_empty() {
            *orphans = Vec::new(); // Gives the memory back: nothing else will.
            LANES.set(LANES.get() & !flags);
        } else {
            LANES.set(LANES.get() | flags);
        }
    });
}
