//! This thread's grad modes, packed into one word.
//!
//! The CPU and MLX have no switch of their own, so their modes are stored here, each in its *slot* of a thread-local word. A
//! universal scope costs one swap of that word on the way in and one on the way out.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::panic::Location;

use crate::backend::Backend;
use crate::mode::{GradMode, Scope};
use crate::places::{self, Record, ScopeKind};
use crate::snapshot::Snapshot;

/// The part of the word that stores one backend's mode: two bits of mode, and above them the number of guards alive that
/// cover the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The mode of [`Mlx`](crate::Mlx).
    Mlx,
    /// The mode of [`Cpu`](crate::Cpu), which [`grad_mode`] returns.
    Cpu,
}

/// The bits of a slot that hold a mode, as `GradMode` numbers them.
const MODE_BITS: u64 = 0b11;
/// The increment of a slot for one guard.
const ONE_GUARD: u64 = MODE_BITS + 1;
const SLOT_WIDTH: u32 = 32;
/// A word with 1 in each slot.
const EACH_SLOT: u64 = (1 << SLOT_WIDTH) | 1;

/// Set while this thread's scopes take the slow path, in and out: places of scopes are recorded (see `places`), or guards were
/// dropped early. No `Entered` stores this bit, so the state never equals what a guard left while it is set.
const SLOW: u64 = 1 << 63;

// Every universal guard counts in the CPU's slot, so a full count of universal guards shows in the bit below `SLOW` alone; selective
// guards test that bit in their own slot. So MLX's slot never overflows into the CPU's either, nor the CPU's into `SLOW`.
const SLOT_OVERFLOW: u64 = 1 << (SLOT_WIDTH - 2);
const OVERFLOW: u64 = SLOT_OVERFLOW << Slot::Cpu.shift();

impl Slot {
    pub(crate) const ALL: [Self; 2] = [Self::Mlx, Self::Cpu];

    /// Returns the name of the backend whose mode this slot stores.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mlx => "mlx",
            Self::Cpu => "cpu",
        }
    }

    const fn shift(self) -> u32 {
        self as u32 * SLOT_WIDTH
    }

    const fn mask(self) -> u64 {
        (0xffff_ffff << self.shift()) & !SLOW
    }

    /// Returns the content of this slot.
    const fn of(self, word: u64) -> u64 {
        (word & self.mask()) >> self.shift()
    }

    /// Returns how many guards alive cover this slot.
    pub(crate) const fn guards(self, word: u64) -> u64 {
        self.of(word) / ONE_GUARD
    }
}

thread_local! {
    // None of these has a destructor, so scopes still work in the destructors of other thread-locals.
    static STATE: Cell<u64> = const { Cell::new(0) };
    // For each slot, sorted by depth.
    static DROPPED_EARLY: RefCell<ManuallyDrop<[Vec<DroppedEarly>; 2]>> =
        const { RefCell::new(ManuallyDrop::new([Vec::new(), Vec::new()])) };
}

/// Returns the mode of this thread, as the innermost universal scope (or selective scope for [`Cpu`](crate::Cpu)) set it.
///
/// ```
/// use grad_core::{GradMode, grad_mode, no_grad};
///
/// let guard = no_grad();
/// assert_eq!(grad_mode(), GradMode::NoGrad);
/// drop(guard);
/// assert_eq!(grad_mode(), GradMode::Enabled);
/// ```
#[must_use]
#[inline]
pub fn grad_mode() -> GradMode {
    mode(Slot::Cpu)
}

/// Returns whether operations are recorded on this thread: `grad_mode() == GradMode::Enabled`.
///
/// This is the question that an autograd engine asks before it records an operation.
///
/// ```
/// use grad_core::{is_grad_enabled, no_grad};
///
/// assert!(is_grad_enabled());
/// let _guard = no_grad();
/// assert!(!is_grad_enabled());
/// ```
#[must_use]
#[inline]
pub fn is_grad_enabled() -> bool {
    grad_mode().is_enabled()
}

/// Returns whether a guard is alive on this thread that covers `slot`.
pub(crate) fn is_covered(slot: Slot) -> bool {
    slot.guards(STATE.get()) > 0
}

/// Returns the mode of `slot` on this thread.
#[inline]
pub(crate) fn mode(slot: Slot) -> GradMode {
    mode_in(STATE.get(), slot)
}

/// Returns the mode of `slot` in `word`.
#[inline]
pub(crate) const fn mode_in(word: u64, slot: Slot) -> GradMode {
    match slot.of(word) & MODE_BITS {
        0b00 => GradMode::Enabled,
        0b01 => GradMode::NoGrad,
        _ => GradMode::Inference,
    }
}

/// Returns the word: modes and counts of guards.
#[inline]
pub(crate) fn word() -> u64 {
    STATE.get()
}

/// Returns whether scopes take the slow path on this thread.
#[inline]
pub(crate) fn is_slow() -> bool {
    STATE.get() & SLOW != 0
}

/// Sets or clears `SLOW`: places of scopes are recorded from now on, or no longer.
pub(crate) fn update_slow() {
    DROPPED_EARLY.with_borrow(|dropped_early| set_slow(dropped_early));
}

fn set_slow(dropped_early: &[Vec<DroppedEarly>; 2]) {
    let slow = places::are_recorded() || dropped_early.iter().any(|ranges| !ranges.is_empty());
    let state = STATE.get() & !SLOW;
    STATE.set(if slow { state | SLOW } else { state });
}

/// Returns the modes of this thread as `pack` makes them: without the counts of guards.
pub(crate) fn modes() -> u64 {
    STATE.get() & (EACH_SLOT * MODE_BITS)
}

/// Packs two modes into a word.
pub(crate) const fn pack(cpu: GradMode, mlx: GradMode) -> u64 {
    ((cpu as u64) << Slot::Cpu.shift()) | ((mlx as u64) << Slot::Mlx.shift())
}

pub(crate) fn set_mode(slot: Slot, mode: GradMode) {
    let others = STATE.get() & !(MODE_BITS << slot.shift());
    STATE.set(others | ((mode as u64) << slot.shift()));
}

/// Applies `scope` to each slot of `word` at once: [`Scope::applied_to`] in bit operations, to which a test holds it equal.
#[inline]
const fn apply(scope: Scope, word: u64) -> u64 {
    match scope {
        Scope::NoGrad => word | EACH_SLOT,
        Scope::EnableGrad => {
            let inference = word & (EACH_SLOT * 0b10);
            (word & !(EACH_SLOT * MODE_BITS)) | inference | (inference >> 1)
        }
        Scope::InferenceMode(true) => word | (EACH_SLOT * MODE_BITS),
        Scope::InferenceMode(false) => word & !(EACH_SLOT * MODE_BITS),
    }
}

/// A scope that was entered: this thread's state before and after. Dropping it leaves the scope.
pub(crate) struct Entered {
    before: u64,
    after: u64,
}

impl Entered {
    /// Enters `scope` in every slot. `switches` is the number of the guard that has switched backends for the same scope.
    #[inline]
    #[track_caller]
    pub(crate) fn universal(scope: Scope, switches: Option<NonZeroU32>) -> Self {
        let before = STATE.get();
        let after = apply(scope, before) + EACH_SLOT * ONE_GUARD;
        if after & (OVERFLOW | SLOW) != 0 {
            return Self::enter_slow_scope(before, after, scope, switches, Location::caller());
        }
        STATE.set(after);
        Self { before, after }
    }

    /// Sets every slot to its mode in `snapshot`, whatever is in force.
    #[inline]
    #[track_caller]
    pub(crate) fn exactly(snapshot: &'static Snapshot, switches: Option<NonZeroU32>) -> Self {
        let before = STATE.get();
        let after = ((before & !(EACH_SLOT * MODE_BITS)) | snapshot.slots()) + EACH_SLOT * ONE_GUARD;
        if after & (OVERFLOW | SLOW) != 0 {
            return Self::enter_slow_snapshot(before, after, snapshot, switches, Location::caller());
        }
        STATE.set(after);
        Self { before, after }
    }

    /// Enters `scope` in one slot.
    pub(crate) fn selective(
        scope: Scope,
        slot: Slot,
        switch: Option<NonZeroU32>,
        place: &'static Location<'static>,
    ) -> Self {
        let before = STATE.get();
        let universal = apply(scope, before) + EACH_SLOT * ONE_GUARD;
        let after = (before & !slot.mask()) | (universal & slot.mask());
        let overflow = SLOT_OVERFLOW << slot.shift();
        if after & (SLOW | overflow) != 0 {
            let entry = (ScopeKind::Scope(scope), Some(slot.name()), place);
            let (before, after) = Self::enter_slow(before, after, overflow, entry, switch);
            return Self { before, after };
        }
        STATE.set(after);
        Self { before, after }
    }

    /// Enters no slot: for a scope on a backend that has none, which the guard with the number `switch` has switched.
    pub(crate) fn no_slot(
        scope: Scope,
        backend: &'static dyn Backend,
        switch: NonZeroU32,
        place: &'static Location<'static>,
    ) -> Self {
        let before = STATE.get();
        if before & SLOW != 0 {
            let entry = (ScopeKind::Scope(scope), Some(backend.name()), place);
            Self::enter_slow(before, before, 0, entry, Some(switch));
            // No state has both bits, so the guard takes the slow way out, which finds its record by the number.
            let id = SLOW | OVERFLOW | u64::from(switch.get());
            return Self { before: id, after: id };
        }
        Self { before, after: before }
    }

    // The fast path calls one of these two in place of a panic. They take few words and return two, in registers, so the path that
    // does not come here is compiled with hardly a trace of them.

    #[cold]
    fn enter_slow_scope(
        before: u64,
        after: u64,
        scope: Scope,
        switches: Option<NonZeroU32>,
        place: &'static Location<'static>,
    ) -> Self {
        let entry = (ScopeKind::Scope(scope), None, place);
        let (before, after) = Self::enter_slow(before, after, OVERFLOW, entry, switches);
        Self { before, after }
    }

    #[cold]
    fn enter_slow_snapshot(
        before: u64,
        after: u64,
        snapshot: &'static Snapshot,
        switches: Option<NonZeroU32>,
        place: &'static Location<'static>,
    ) -> Self {
        let entry = (ScopeKind::Carried(snapshot.into()), None, place);
        let (before, after) = Self::enter_slow(before, after, OVERFLOW, entry, switches);
        Self { before, after }
    }

    /// The slow way in: there are too many guards, or the scope is to be recorded, or guards were dropped early.
    fn enter_slow(
        before: u64,
        after: u64,
        overflow: u64,
        (kind, backend, place): (ScopeKind, Option<&'static str>, &'static Location<'static>),
        switches: Option<NonZeroU32>,
    ) -> (u64, u64) {
        if after & overflow != 0 {
            too_many_guards();
        }
        STATE.set(after);
        let entered = (before & !SLOW, after & !SLOW);
        if places::are_recorded() {
            places::add(Record::new(kind, backend, place, entered, switches));
        }
        entered
    }

    /// Returns the modes of `slot` before and after the scope was entered, if it covers the slot.
    fn covers(&self, slot: Slot) -> Option<(GradMode, GradMode)> {
        let covered = slot.guards(self.before) != slot.guards(self.after);
        covered.then(|| (mode_in(self.before, slot), mode_in(self.after, slot)))
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        if STATE.get() == self.after {
            STATE.set(self.before);
        } else {
            leave_slot_by_slot(self.before, self.after);
        }
    }
}

/// Prints, for each slot that the scope covers, the mode that it set and the mode that it restores.
impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for slot in [Slot::Cpu, Slot::Mlx] {
            if let Some((before, after)) = self.covers(slot) {
                map.entry(&slot.name(), &format_args!("{after:?}, restores {before:?}"));
            }
        }
        map.finish()
    }
}

#[cold]
pub(crate) fn too_many_guards() -> ! {
    panic!(
        "cannot enter a gradient scope: this thread has too many guards to count; do not leak guards, for example with \
         `std::mem::forget`, and drop a guard before you replace it"
    );
}

/// Guards that were dropped while guards entered after them were alive: all those at the depths `low..=high` of a slot. The slot
/// keeps the mode that the innermost guard alive established; when the guard above `high` is dropped, the slot gets back the
/// mode that the guard at `low` had found.
#[derive(Debug, Clone, Copy)]
struct DroppedEarly {
    low: u64,
    high: u64,
    found: GradMode,
}

/// Adds a guard to ranges that are sorted and never adjacent, so a guard that is replaced again and again, the new one entered
/// before the old one is dropped, leaves one range.
fn add_dropped_early(ranges: &mut Vec<DroppedEarly>, depth: u64, found: GradMode) {
    let mut new = DroppedEarly { low: depth, high: depth, found };
    let mut at = ranges.partition_point(|range| range.high < depth);
    if let Some(above) = ranges.get(at)
        && above.low == depth + 1
    {
        new.high = above.high;
        ranges.remove(at);
    }
    if at > 0 && ranges[at - 1].high + 1 == depth {
        at -= 1;
        new = DroppedEarly { high: new.high, ..ranges.remove(at) };
    }
    ranges.insert(at, new);
}

/// Returns how many guards that cover `slot` were dropped early.
pub(crate) fn dropped_early_count(slot: Slot) -> u64 {
    DROPPED_EARLY.with_borrow(|ranges| ranges[slot as usize].iter().map(|range| range.high - range.low + 1).sum())
}

/// If the guard at `depth` of `slot` was dropped early, returns the depth below it at which the next guard is alive, and the mode
/// that this guard established.
pub(crate) fn below_dropped_early(slot: Slot, depth: u64) -> Option<(u64, GradMode)> {
    DROPPED_EARLY.with_borrow(|ranges| {
        let range = ranges[slot as usize].iter().find(|range| (range.low..=range.high).contains(&depth))?;
        Some((range.low - 1, range.found))
    })
}

/// The slow way out: places are recorded, or this guard is not the innermost, or others were dropped early, or a mode was set directly.
#[cold]
fn leave_slot_by_slot(before: u64, after: u64) {
    if places::are_recorded() {
        // A scope without a slot may have stored a number in place of a state: see `no_slot`.
        let number = u32::try_from(after & u64::from(u32::MAX)).ok().filter(|_| after & SLOW != 0);
        places::remove(before, after, number.and_then(NonZeroU32::new));
    }
    DROPPED_EARLY.with_borrow_mut(|dropped_early| {
        for slot in Slot::ALL {
            let depth = slot.guards(after);
            let below = slot.guards(before);
            if below == depth {
                continue; // This guard does not cover the slot.
            }
            let ranges = &mut dropped_early[slot as usize];
            let found = mode_in(before, slot);
            if slot.guards(STATE.get()) > depth {
                add_dropped_early(ranges, depth, found);
                continue;
            }
            let range = ranges.pop_if(|range| range.high == below);
            let (depth, found) = range.map_or((below, found), |range| (range.low - 1, range.found));
            let others = STATE.get() & !slot.mask();
            STATE.set(others | ((depth * ONE_GUARD + found as u64) << slot.shift()));
        }
        set_slow(dropped_early);
        for ranges in dropped_early.iter_mut().filter(|ranges| ranges.is_empty()) {
            *ranges = Vec::new(); // Frees the memory: the thread-local has no destructor.
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [GradMode; 3] = [GradMode::Enabled, GradMode::NoGrad, GradMode::Inference];
    const SCOPES: [Scope; 4] =
        [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)];

    /// Guarantee 7 is written in `Scope::applied_to`; the packed form must say the same in every slot, and leave counts alone.
    #[test]
    fn guarantee_7_packed_scopes_equal_the_match() {
        for scope in SCOPES {
            for cpu in MODES {
                for mlx in MODES {
                    let counts = (5 * ONE_GUARD) << Slot::Cpu.shift() | (9 * ONE_GUARD) << Slot::Mlx.shift();
                    let applied = apply(scope, pack(cpu, mlx) | counts);
                    assert_eq!(mode_in(applied, Slot::Cpu), scope.applied_to(cpu), "{scope} on {cpu}");
                    assert_eq!(mode_in(applied, Slot::Mlx), scope.applied_to(mlx), "{scope} on {mlx}");
                    assert_eq!(applied & !(EACH_SLOT * MODE_BITS), counts);
                }
            }
        }
    }

    #[test]
    fn modes_are_packed_and_unpacked() {
        for cpu in MODES {
            for mlx in MODES {
                assert_eq!((mode_in(pack(cpu, mlx), Slot::Cpu), mode_in(pack(cpu, mlx), Slot::Mlx)), (cpu, mlx));
            }
        }
    }

    /// One guard more than a slot can count is refused on the fast path and on the slow one, and changes nothing.
    #[test]
    fn too_many_guards_are_refused() {
        let full = SLOT_OVERFLOW - ONE_GUARD;
        let state = full << Slot::Cpu.shift() | full << Slot::Mlx.shift();
        let enter: [fn() -> Entered; 3] = [
            || Entered::universal(Scope::NoGrad, None),
            || Entered::selective(Scope::NoGrad, Slot::Cpu, None, Location::caller()),
            || Entered::selective(Scope::NoGrad, Slot::Mlx, None, Location::caller()),
        ];
        for slow in [0, SLOW] {
            for enter in enter {
                STATE.set(state | slow);
                assert!(std::panic::catch_unwind(enter).is_err());
                assert_eq!(STATE.get(), state | slow);
            }
        }
        STATE.set(0);
    }
}
