//! This thread's own modes.
//!
//! Two backends have no switch of their own, the CPU and MLX, so theirs are kept here: a *lane* each, side by side in
//! one thread-local word. A universal scope costs one swap of that word to enter and one to leave.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;

use crate::mode::{GradMode, MODE_BITS, Scope};

/// The part of the word that holds the mode of one backend without a switch of its own: two bits of mode, and above
/// them the number of guards alive that cover the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// [`Mlx`](crate::Mlx)'s.
    Mlx,
    /// [`Cpu`](crate::Cpu)'s, which is also what [`grad_mode`](crate::grad_mode) answers.
    Cpu,
}

const LANE_WIDTH: u32 = 32;
pub(crate) const EVERY_LANE: u64 = (1 << LANE_WIDTH) | 1;
const ONE_DEEPER: u64 = MODE_BITS + 1;

// Every universal guard counts in the CPU's lane, so its highest bit is the only one that they watch; a selective
// guard watches the bit below in its own. So MLX's lane never runs over into the CPU's either.
const TOO_DEEP: u64 = 1 << 63;
const TOO_DEEP_ALONE: u64 = 1 << (LANE_WIDTH - 2);

impl Lane {
    const ALL: [Self; 2] = [Self::Mlx, Self::Cpu];

    const fn shift(self) -> u32 {
        self as u32 * LANE_WIDTH
    }

    const fn mask(self) -> u64 {
        0xffff_ffff << self.shift()
    }

    const fn of(self, word: u64) -> u64 {
        (word >> self.shift()) & 0xffff_ffff
    }
}

thread_local! {
    // None has a destructor to run, so scopes still work in the destructors of other thread-locals.
    static LANES: Cell<u64> = const { Cell::new(0) };
    static ORPHAN_COUNT: Cell<usize> = const { Cell::new(0) };
    // For each lane, the lowest first.
    static ORPHANS: RefCell<ManuallyDrop<[Vec<Orphans>; 2]>> =
        const { RefCell::new(ManuallyDrop::new([Vec::new(), Vec::new()])) };
}

#[inline]
pub(crate) fn mode(lane: Lane) -> GradMode {
    mode_in(LANES.get(), lane)
}

/// The mode of `lane` in `word`.
#[inline]
pub(crate) const fn mode_in(word: u64, lane: Lane) -> GradMode {
    GradMode::from_bits(lane.of(word))
}

/// The modes of every lane, without the guards that are counted above them.
pub(crate) fn modes() -> u64 {
    LANES.get() & (EVERY_LANE * MODE_BITS)
}

/// What `modes` answers where each lane has the mode given for it.
pub(crate) const fn modes_of(cpu: GradMode, mlx: GradMode) -> u64 {
    ((cpu as u64) << Lane::Cpu.shift()) | ((mlx as u64) << Lane::Mlx.shift())
}

pub(crate) fn set_mode(lane: Lane, mode: GradMode) {
    let others = LANES.get() & !(MODE_BITS << lane.shift());
    LANES.set(others | ((mode as u64) << lane.shift()));
}

/// A scope that was entered: this thread's lanes before it and after. Dropping it leaves the scope.
#[derive(Debug)]
pub(crate) struct Swap {
    before: u64,
    entered: u64,
}

impl Swap {
    /// Enters `scope` on every lane.
    #[inline]
    pub(crate) fn every_lane(scope: Scope) -> Self {
        Self::by(|before| scope.applied_to_lanes(before))
    }

    /// Puts every lane into the mode that `modes` has for it, whatever is in force.
    #[inline]
    pub(crate) fn to(modes: u64) -> Self {
        Self::by(|before| (before & !(EVERY_LANE * MODE_BITS)) | modes)
    }

    #[inline]
    fn by(change: impl FnOnce(u64) -> u64) -> Self {
        let before = LANES.get();
        let entered = change(before) + EVERY_LANE * ONE_DEEPER;
        if entered & TOO_DEEP != 0 {
            guards_are_leaked();
        }
        LANES.set(entered);
        Self { before, entered }
    }

    /// Enters `scope` on one lane.
    pub(crate) fn one_lane(scope: Scope, lane: Lane) -> Self {
        let before = LANES.get();
        let everywhere = scope.applied_to_lanes(before) + EVERY_LANE * ONE_DEEPER;
        let entered = (before & !lane.mask()) | (everywhere & lane.mask());
        if lane.of(entered) & TOO_DEEP_ALONE != 0 {
            guards_are_leaked();
        }
        LANES.set(entered);
        Self { before, entered }
    }

    /// Enters nothing: for a scope on a backend that has no lane.
    pub(crate) fn no_lane() -> Self {
        let before = LANES.get();
        Self { before, entered: before }
    }
}

impl Drop for Swap {
    #[inline]
    fn drop(&mut self) {
        if LANES.get() == self.entered && ORPHAN_COUNT.get() == 0 {
            LANES.set(self.before);
        } else {
            leave_lane_by_lane(self.before, self.entered);
        }
    }
}

#[cold]
fn guards_are_leaked() -> ! {
    panic!(
        "hundreds of millions of gradient scopes are alive on this thread: guards are being leaked, for example with \
         `std::mem::forget`, or one is always replaced before it is dropped"
    );
}

/// Guards dropped while guards entered after them on the same lane were alive: all those at the depths `low..=high`. The
/// lane keeps the mode that the innermost guard alive established; when the one above `high` goes, the lane gets back what
/// the one at `low` had found.
#[derive(Debug, Clone, Copy)]
struct Orphans {
    low: u64,
    high: u64,
    found: GradMode,
}

/// Adds an orphan to ranges that are sorted and never adjacent, so that a guard that is replaced again and again, the new
/// one entered before the old one is dropped, leaves one range.
fn add_orphan(ranges: &mut Vec<Orphans>, depth: u64, found: GradMode) {
    let mut orphan = Orphans { low: depth, high: depth, found };
    let mut at = ranges.partition_point(|range| range.high < depth);
    if let Some(above) = ranges.get(at)
        && above.low == depth + 1
    {
        orphan.high = above.high;
        ranges.remove(at);
    }
    if at > 0 && ranges[at - 1].high + 1 == depth {
        at -= 1;
        orphan = Orphans { high: orphan.high, ..ranges.remove(at) };
    }
    ranges.insert(at, orphan);
}

/// The slow way out: this guard is not the innermost, or others went before their turn, or somebody set a mode
/// directly.
#[cold]
fn leave_lane_by_lane(before: u64, entered: u64) {
    ORPHANS.with_borrow_mut(|orphans| {
        for lane in Lane::ALL {
            let depth = |word: u64| lane.of(word) / ONE_DEEPER;
            let entered = depth(entered);
            if depth(before) == entered {
                continue; // This guard does not cover the lane.
            }
            let ranges = &mut orphans[lane as usize];
            let found = GradMode::from_bits(lane.of(before));
            if depth(LANES.get()) > entered {
                add_orphan(ranges, entered, found);
                continue;
            }
            let below = ranges.pop_if(|range| range.high == depth(before));
            let (now, found) = below.map_or((depth(before), found), |range| (range.low - 1, range.found));
            let others = LANES.get() & !lane.mask();
            LANES.set(others | ((now * ONE_DEEPER + found as u64) << lane.shift()));
        }
        ORPHAN_COUNT.set(orphans.iter().map(Vec::len).sum());
        for ranges in orphans.iter_mut().filter(|ranges| ranges.is_empty()) {
            *ranges = Vec::new(); // Gives the memory back: nothing else will.
        }
    });
}
