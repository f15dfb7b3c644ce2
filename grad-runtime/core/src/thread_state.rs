//! This thread's grad modes, packed into words.
//!
//! The CPU and MLX have no switch of their own, so their modes are stored here, each in its *slot* of a thread-local word. A
//! universal scope costs one swap of that word on the way in and one on the way out. libtorch has a switch; what scopes asked of
//! it is stored in a slot of its own, beside the switch.

#[cfg(all(test, not(loom)))]
mod exhaustive;
mod switched;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::num::NonZeroU32;
use std::panic::Location;

use crate::backend::{Backend, WITH_SLOTS};
use crate::mode::{GradMode, Scope};
use crate::places::{self, Record, ScopeKind};
use crate::probe;
use crate::registry::{installed_switches, native_switch};
use crate::saved;
use crate::snapshot::Snapshot;
use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::sync::{shared, thread_local};
use crate::torch::switch;

use switched::Switched;

/// The part of a `Word` that stores one backend's mode: two bits of mode, and above them the number of guards alive that
/// cover the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The mode of [`Cpu`](crate::Cpu), which [`grad_mode`] returns.
    Cpu,
    /// The mode of [`Mlx`](crate::Mlx).
    Mlx,
    /// The mode that the innermost scope asked of [`Torch`](crate::Torch), which has a switch of its own.
    Torch,
}

/// The slots of a thread: those of the CPU and MLX, which a scope swaps, in the lower half, and libtorch's in the upper one.
pub(crate) type Word = u128;

/// The bits of a slot that hold a mode, as `GradMode` numbers them.
const MODE_BITS: u64 = 0b11;
/// The increment of a slot for one guard.
const ONE_GUARD: u64 = MODE_BITS + 1;
const SLOT_WIDTH: u32 = 32;
/// The lower half of a word, with 1 in each slot.
const EACH_SLOT: u64 = (1 << SLOT_WIDTH) | 1;

// The four highest bits of the CPU's slot are no part of its count. They are in the lower 32 bits of the word, where one instruction
// tests them all.

/// Set while this thread's scopes take the slow path, in and out: places of scopes are recorded (see `places`), or guards were
/// dropped early. No `Entered` stores this bit, so the state never equals what a guard left while it is set.
const SLOW: u64 = 1 << 31;
/// Set in `INCREMENT` alone: backends other than libtorch are installed that have a switch of their own.
const SWITCHES: u64 = 1 << 30;
/// Set in `INCREMENT` alone: libtorch is installed.
const TORCH: u64 = 1 << 29;
/// Set where a count is full. Every universal guard counts in the CPU's slot, so a full count of universal guards shows there;
/// selective guards test this bit in their own slot. MLX's slot has room for as many selective ones besides.
const SLOT_OVERFLOW: u64 = 1 << 28;
const FLAGS: u64 = SLOW | SWITCHES | TORCH | SLOT_OVERFLOW;

shared! {
    /// What a universal scope adds to the state: one guard in each slot, and a flag for what is installed. From one sum, a scope
    /// learns whether it may take the fast path.
    static INCREMENT: AtomicU64 = AtomicU64::new(EACH_SLOT * ONE_GUARD);
}

impl Slot {
    pub(crate) const ALL: [Self; 3] = [Self::Cpu, Self::Mlx, Self::Torch];

    /// Returns the name of the backend whose mode this slot stores.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Mlx => "mlx",
            Self::Torch => "torch",
        }
    }

    const fn shift(self) -> u32 {
        self as u32 * SLOT_WIDTH
    }

    const fn mask(self) -> Word {
        (0xffff_ffff << self.shift()) & !(FLAGS as Word)
    }

    /// Returns the content of this slot.
    #[expect(clippy::cast_possible_truncation, reason = "a slot has 32 bits")]
    const fn of(self, word: Word) -> u64 {
        ((word & self.mask()) >> self.shift()) as u64
    }

    /// Returns `word` with other content in this slot.
    const fn replaced(self, word: Word, content: u64) -> Word {
        (word & !self.mask()) | ((content as Word) << self.shift())
    }

    /// Returns how many guards alive cover this slot.
    pub(crate) const fn guards(self, word: Word) -> u64 {
        self.of(word) / ONE_GUARD
    }
}

/// A thread's word, in two parts.
struct State {
    slots: Cell<u64>,
    torch: Cell<u32>,
}

thread_local! {
    // None of these has a destructor, so scopes still work in the destructors of other thread-locals.
    static STATE: State = const { State { slots: Cell::new(0), torch: Cell::new(0) } };
    // For each slot, sorted by depth.
    static DROPPED_EARLY: RefCell<ManuallyDrop<[Vec<DroppedEarly>; 3]>> =
        const { RefCell::new(ManuallyDrop::new([Vec::new(), Vec::new(), Vec::new()])) };
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

/// Records that a backend is installed that has a switch of its own: from now on universal scopes turn it.
pub(crate) fn mark_installed(slot: Option<Slot>) {
    let flags = match slot {
        Some(Slot::Torch) if switch::find() => TORCH,
        // Scopes cover libtorch's slot once it is there: the probe that finds it calls this again.
        _ => SWITCHES,
    };
    INCREMENT.fetch_or(flags, Ordering::Release);
}

/// Returns whether any backend is installed that has a switch of its own.
#[inline]
pub(crate) fn any_switch() -> bool {
    INCREMENT.load(Ordering::Acquire) & FLAGS != 0
}

/// Returns whether a guard is alive on this thread that covers `slot`.
pub(crate) fn is_covered(slot: Slot) -> bool {
    slot.guards(word()) > 0
}

/// Returns the mode of `slot` on this thread.
#[inline]
pub(crate) fn mode(slot: Slot) -> GradMode {
    match slot {
        Slot::Cpu | Slot::Mlx => mode_in_half(slots(), slot),
        Slot::Torch => from_bits(torch_slot().into()),
    }
}

/// Returns the mode in force on libtorch: the one that our innermost scope asked for, unless the switch has been turned by other
/// code since. libtorch knows on and off only, so `Inference` is off there.
pub(crate) fn torch_mode_in_force() -> GradMode {
    let (asked, is_enabled) = (mode(Slot::Torch), !switch::find() || switch::is_enabled());
    match is_enabled {
        _ if asked.is_enabled() == is_enabled => asked,
        true => GradMode::Enabled,
        false => GradMode::NoGrad,
    }
}

/// Returns the mode of `slot` in `word`.
#[inline]
pub(crate) const fn mode_in(word: Word, slot: Slot) -> GradMode {
    from_bits(slot.of(word))
}

/// Returns the mode of the CPU's slot or of MLX's in half a word.
#[inline]
pub(crate) const fn mode_in_half(slots: u64, slot: Slot) -> GradMode {
    from_bits(slots >> slot.shift())
}

/// Returns the mode in the lowest bits.
#[inline]
const fn from_bits(bits: u64) -> GradMode {
    match bits & MODE_BITS {
        0b00 => GradMode::Enabled,
        0b01 => GradMode::NoGrad,
        _ => GradMode::Inference,
    }
}

/// Returns this thread's word: modes and counts of guards.
pub(crate) fn word() -> Word {
    joined(slots() & !SLOW, torch_slot())
}

/// Stores a word; `SLOW` stays as it is.
fn set_word(word: Word) {
    let (slots, torch) = halves(word);
    set_both((self::slots() & SLOW) | slots, torch);
}

/// Returns a word of its two halves.
const fn joined(slots: u64, torch: u32) -> Word {
    slots as Word | ((torch as Word) << Slot::Torch.shift())
}

/// Returns the two halves of a word.
#[expect(clippy::cast_possible_truncation, reason = "it takes the word apart")]
const fn halves(word: Word) -> (u64, u32) {
    (word as u64, (word >> Slot::Torch.shift()) as u32)
}

/// Returns the lowest slot of a state, with any flags: the CPU's.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "it is the lower half")]
const fn low_slot(state: u64) -> u32 {
    state as u32
}

/// Returns whether a scope has to take the slow path, from the sum of the state and `INCREMENT`.
#[inline]
const fn has_flags(sum: u64) -> bool {
    sum & FLAGS != 0
}

/// Returns whether a scope may have modes to save: of the native switch of the one backend that it is for, or of those installed.
fn may_save_modes(
    native: Option<&'static dyn Backend>,
    only: Option<&'static dyn Backend>,
    installed: u64,
) -> bool {
    native.is_some() || only.is_none() && installed & SWITCHES != 0
}

/// Returns the half of the word that scopes swap: the slots of the CPU and MLX.
#[inline]
pub(crate) fn slots() -> u64 {
    STATE.with(|state| state.slots.get())
}

#[inline]
fn set_slots(slots: u64) {
    STATE.with(|state| state.slots.set(slots));
}

/// Returns the content of libtorch's slot.
#[inline]
fn torch_slot() -> u32 {
    STATE.with(|state| state.torch.get())
}

/// Sets both parts of the word.
#[inline]
fn set_both(slots: u64, torch: u32) {
    STATE.with(|state| {
        state.slots.set(slots);
        state.torch.set(torch);
    });
}

/// Returns whether scopes take the slow path on this thread.
#[inline]
pub(crate) fn is_slow() -> bool {
    slots() & SLOW != 0
}

/// Sets or clears `SLOW`: places of scopes are recorded from now on, or no longer.
pub(crate) fn update_slow() {
    DROPPED_EARLY.with_borrow(|dropped_early| set_slow(dropped_early));
}

fn set_slow(dropped_early: &[Vec<DroppedEarly>; 3]) {
    let slow = places::are_recorded() || dropped_early.iter().any(|ranges| !ranges.is_empty());
    let state = slots() & !SLOW;
    set_slots(if slow { state | SLOW } else { state });
}

/// Returns the modes of this thread as `pack` makes them: without the counts of guards.
pub(crate) fn modes() -> u64 {
    slots() & (EACH_SLOT * MODE_BITS)
}

/// Packs two modes into half a word.
pub(crate) const fn pack(cpu: GradMode, mlx: GradMode) -> u64 {
    ((cpu as u64) << Slot::Cpu.shift()) | ((mlx as u64) << Slot::Mlx.shift())
}

/// Sets the mode of the CPU's slot or of MLX's.
pub(crate) fn set_mode(slot: Slot, mode: GradMode) {
    let others = slots() & !(MODE_BITS << slot.shift());
    set_slots(others | ((mode as u64) << slot.shift()));
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
///
/// Where the scope has turned a switch, `after` is no state, so that the fast path out is not taken: either the state with the flag
/// `TORCH` (see `enter_with_torch`), or a [`Switched`].
pub(crate) struct Entered {
    before: u64,
    after: u64,
}

/// What a scope does to the modes that it finds.
#[derive(Clone, Copy)]
enum Change {
    Apply(Scope),
    /// Sets these modes, whatever is in force.
    Exactly(&'static Snapshot),
}

impl Change {
    /// Returns the mode that the scope sets for `backend` where `found` is in force; `None` if it leaves the backend alone.
    fn mode_of(self, backend: &dyn Backend, found: GradMode) -> Option<GradMode> {
        match self {
            Self::Apply(scope) => Some(scope.applied_to(found)),
            Self::Exactly(snapshot) => snapshot.mode_of(backend),
        }
    }
}

impl Entered {
    /// Enters `scope` on every installed backend.
    #[inline]
    pub(crate) fn universal(scope: Scope, place: &'static Location<'static>) -> Self {
        // Before `INCREMENT` is read: where no probe is due because another thread has found libtorch, the flag is there.
        if probe::is_due() {
            return Self::enter_slow_scope(scope, place);
        }
        let before = slots();
        let after = apply(scope, before) + INCREMENT.load(Ordering::Relaxed);
        if has_flags(after) {
            return Self::enter_elsewhere(before, after, scope, place);
        }
        set_slots(after);
        Self { before, after }
    }

    /// Sets every backend to its mode in `snapshot`, whatever is in force.
    #[inline]
    #[track_caller]
    pub(crate) fn exactly(snapshot: &'static Snapshot) -> Self {
        // Before `INCREMENT` is read, as in `universal`.
        let is_probe_due = probe::is_due();
        let before = slots();
        let after = ((before & !(EACH_SLOT * MODE_BITS)) | snapshot.slots()) + INCREMENT.load(Ordering::Relaxed);
        if is_probe_due || has_flags(after) {
            return Self::enter_slow(Change::Exactly(snapshot), None, Location::caller());
        }
        set_slots(after);
        Self { before, after }
    }

    /// Enters `scope` for one backend.
    pub(crate) fn selective(
        scope: Scope,
        backend: &'static dyn Backend,
        place: &'static Location<'static>,
    ) -> Self {
        Self::enter_slow(Change::Apply(scope), Some(backend), place)
    }

    /// Enters `scope` where the fast path does not: fast if nothing but libtorch is to be switched.
    ///
    /// The fast path calls it in place of a panic. It takes few words and returns two, in registers, so the path that does not come
    /// here is compiled with hardly a trace of it.
    #[cold]
    #[inline]
    fn enter_elsewhere(before: u64, after: u64, scope: Scope, place: &'static Location<'static>) -> Self {
        if cfg!(feature = "torch") && after & FLAGS == TORCH {
            Self::enter_with_torch(before, after, scope)
        } else {
            Self::enter_slow_scope(scope, place)
        }
    }

    /// Enters `scope` on the CPU, MLX and libtorch: fast if libtorch's slot says what the CPU's says, which it does where all guards
    /// alive cover both and the modes are equal. Then the states before and after tell its slot too.
    #[cold]
    #[inline]
    fn enter_with_torch(before: u64, after: u64, scope: Scope) -> Self {
        // The switch is the one that was found before `INCREMENT` got the flag.
        fence(Ordering::Acquire);
        let was_enabled = switch::is_enabled();
        // If other code has turned the switch, the mode in force is not the slot's.
        if torch_slot() == low_slot(before) && was_enabled == from_bits(before).is_enabled() {
            let state = after - TORCH;
            set_both(state, low_slot(state));
            if was_enabled != from_bits(after).is_enabled() {
                switch::set_enabled(!was_enabled);
            }
            return Self { before, after };
        }
        // Without `SLOW` no places are recorded, so any place will do.
        Self::enter_slow_scope(scope, Location::caller())
    }

    /// As `enter_slow`, with its arguments in registers.
    #[cold]
    #[inline(never)]
    fn enter_slow_scope(scope: Scope, place: &'static Location<'static>) -> Self {
        Self::enter_slow(Change::Apply(scope), None, place)
    }

    /// The slow way in: for one backend, or for every installed one.
    #[cold]
    #[inline(never)]
    fn enter_slow(change: Change, only: Option<&'static dyn Backend>, place: &'static Location<'static>) -> Self {
        if only.is_none() {
            probe::run_if_due();
        }
        let installed = INCREMENT.load(Ordering::Acquire);
        let before = word();
        let mut after = before;
        for (slot, backend) in WITH_SLOTS {
            // A scope that is entered before libtorch is loaded leaves it alone, also when it is left.
            let covers = match only {
                Some(only) => only.slot() == Some(slot) && (slot != Slot::Torch || switch::find()),
                None => slot != Slot::Torch || installed & TORCH != 0,
            };
            if !covers {
                continue;
            }
            let found = if slot == Slot::Torch { torch_mode_in_force() } else { mode_in(before, slot) };
            if let Some(mode) = change.mode_of(backend, found) {
                let depth = slot.guards(before) + 1;
                if depth >= SLOT_OVERFLOW / ONE_GUARD {
                    too_many_guards();
                }
                after = slot.replaced(after, depth * ONE_GUARD + mode as u64);
            }
        }
        let native = only.and_then(|backend| backend.slot().map_or(Some(backend), native_switch));
        let switches = may_save_modes(native, only, installed).then(saved::next_guard);
        let covers_torch = Slot::Torch.guards(before) != Slot::Torch.guards(after);

        let was_enabled = !covers_torch || switch::is_enabled();
        set_word(after);
        if covers_torch && was_enabled != mode_in(after, Slot::Torch).is_enabled() {
            switch::set_enabled(!was_enabled);
        }
        let entered = |switches: Option<NonZeroU32>| Self {
            before: halves(before).0,
            after: if covers_torch || switches.is_some() {
                Switched::new(before, after, was_enabled, switches).0
            } else {
                halves(after).0
            },
        };
        // If a backend panics, dropping it restores those before.
        let restore = entered(switches);
        if let Some(guard) = switches {
            let installed = only.is_none().then(installed_switches).into_iter().flatten();
            for backend in native.into_iter().chain(installed.filter(|backend| backend.slot().is_none())) {
                saved::switch(guard, backend, |found| change.mode_of(backend, found));
            }
        }
        mem::forget(restore);
        // A guard that has saved no mode leaves its number to the next one.
        let switches = switches.filter(|&guard| saved::has_saved(guard));
        let covers_any = before != after || switches.is_some();
        if places::are_recorded() && covers_any {
            let kind = match change {
                Change::Apply(scope) => ScopeKind::Scope(scope),
                Change::Exactly(snapshot) => ScopeKind::Carried(snapshot.into()),
            };
            places::add(Record::new(kind, only.map(Backend::name), place, (before, after), switches));
        }
        entered(switches)
    }

    /// Returns the words before and after the scope was entered, as far as it covers them. The mode that it asked of libtorch is not
    /// always in them.
    fn words(&self) -> (Word, Word) {
        match self.switched() {
            Some(switched) => switched.words(self.before),
            None if self.after & TORCH != 0 => {
                let after = self.after - TORCH;
                (joined(self.before, low_slot(self.before)), joined(after, low_slot(after)))
            }
            None => (joined(self.before, 0), joined(self.after, 0)),
        }
    }

    fn switched(&self) -> Option<Switched> {
        (self.after & Switched::MARK != 0).then_some(Switched(self.after))
    }

    /// Returns the state of libtorch's switch that the scope found, if it covers libtorch.
    fn torch_was_enabled(&self) -> bool {
        self.switched().map_or_else(|| from_bits(self.before).is_enabled(), Switched::was_enabled)
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        if slots() == self.after {
            set_slots(self.before);
        } else {
            leave_with_torch(self.before, self.after);
        }
    }
}

/// Prints, for each slot that the scope covers, the mode that it set and the mode that it restores.
impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.words();
        let mut map = f.debug_map();
        for slot in [Slot::Cpu, Slot::Mlx] {
            if slot.guards(before) != slot.guards(after) {
                let (before, after) = (mode_in(before, slot), mode_in(after, slot));
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
#[cfg_attr(test, derive(Hash))]
struct DroppedEarly {
    low: u64,
    high: u64,
    found: Found,
}

/// What a guard found in a slot, and on libtorch's switch if the slot is that one's.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(test, derive(Hash))]
struct Found {
    mode: GradMode,
    is_enabled: bool,
}

/// Adds a guard to ranges that are sorted and never adjacent, so a guard that is replaced again and again, the new one entered
/// before the old one is dropped, leaves one range.
fn add_dropped_early(ranges: &mut Vec<DroppedEarly>, depth: u64, found: Found) {
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

/// If the guard at `depth` of `slot` was dropped early, returns the mode that the next guard alive below it established.
pub(crate) fn below_dropped_early(slot: Slot, depth: u64) -> Option<GradMode> {
    DROPPED_EARLY.with_borrow(|ranges| {
        let range = ranges[slot as usize].iter().find(|range| (range.low..=range.high).contains(&depth))?;
        Some(range.found.mode)
    })
}

/// Leaves a scope where the fast path does not; fast if it was the innermost one and `enter_with_torch` has entered it fast.
#[cold]
#[inline]
fn leave_with_torch(before: u64, after: u64) {
    // Without the flag `TORCH`, or in a `Switched`, the difference has flags that no state has.
    let state = after.wrapping_sub(TORCH);
    if !cfg!(feature = "torch") || slots() != state || torch_slot() != low_slot(state) {
        return leave_slot_by_slot(before, after);
    }
    set_both(before, low_slot(before));
    switch::set_enabled(from_bits(before).is_enabled());
}

/// The slow way out: this guard has turned a switch, or is not the innermost, or a mode was set directly, or `SLOW` is set.
#[cold]
#[inline(never)]
fn leave_slot_by_slot(before: u64, after: u64) {
    let entered = ManuallyDrop::new(Entered { before, after });
    let (before, after) = entered.words();
    let switches = entered.switched().and_then(Switched::number);
    // Nothing is borrowed while a backend is called, because it may use scopes itself.
    if let Some(guard) = switches {
        saved::restore(guard);
    }
    if places::are_recorded() {
        places::remove(before, after, switches);
    }
    let mut torch = None;
    DROPPED_EARLY.with_borrow_mut(|dropped_early| {
        for slot in Slot::ALL {
            let depth = slot.guards(after);
            let below = slot.guards(before);
            if below == depth {
                continue; // This guard does not cover the slot.
            }
            let ranges = &mut dropped_early[slot as usize];
            let found = Found { mode: mode_in(before, slot), is_enabled: entered.torch_was_enabled() };
            if slot.guards(word()) > depth {
                add_dropped_early(ranges, depth, found);
                continue;
            }
            let range = ranges.pop_if(|range| range.high == below);
            let (depth, found) = range.map_or((below, found), |range| (range.low - 1, range.found));
            set_word(slot.replaced(word(), depth * ONE_GUARD + found.mode as u64));
            if slot == Slot::Torch {
                torch = Some(found.is_enabled);
            }
        }
        set_slow(dropped_early);
        for ranges in dropped_early.iter_mut().filter(|ranges| ranges.is_empty()) {
            *ranges = Vec::new(); // Frees the memory: the thread-local has no destructor.
        }
    });
    if let Some(is_enabled) = torch {
        switch::set_enabled(is_enabled);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::backend::{Cpu, Mlx};

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
                    assert_eq!(mode_in_half(applied, Slot::Cpu), scope.applied_to(cpu), "{scope} on {cpu}");
                    assert_eq!(mode_in_half(applied, Slot::Mlx), scope.applied_to(mlx), "{scope} on {mlx}");
                    assert_eq!(applied & !(EACH_SLOT * MODE_BITS), counts);
                }
            }
        }
    }

    #[test]
    fn modes_are_packed_and_unpacked() {
        for cpu in MODES {
            for mlx in MODES {
                for torch in MODES {
                    let word = joined(pack(cpu, mlx), low_slot(torch as u64));
                    assert_eq!(Slot::ALL.map(|slot| mode_in(word, slot)), [cpu, mlx, torch]);
                }
            }
        }
    }

    #[test]
    fn a_mode_that_is_set_leaves_the_rest_alone() {
        for (slot, other) in [(Slot::Cpu, Slot::Mlx), (Slot::Mlx, Slot::Cpu)] {
            for mode in MODES {
                let before = pack(GradMode::NoGrad, GradMode::NoGrad) + EACH_SLOT * (5 * ONE_GUARD);
                set_slots(before);
                set_mode(slot, mode);
                assert_eq!([slot, other].map(|slot| mode_in_half(slots(), slot)), [mode, GradMode::NoGrad]);
                assert_eq!(slots() & !(EACH_SLOT * MODE_BITS), before & !(EACH_SLOT * MODE_BITS));
            }
        }
        set_slots(0);
    }

    /// One guard more than a slot can count is refused on the fast path and on the slow one, and changes nothing. For libtorch's
    /// slot it is `exhaustive` that checks it, where libtorch is found.
    #[test]
    fn too_many_guards_are_refused() {
        assert_full_slots_refuse(|| Entered::universal(Scope::NoGrad, Location::caller()));
        assert_full_slots_refuse(|| Entered::selective(Scope::NoGrad, &Cpu, Location::caller()));
        assert_full_slots_refuse(|| Entered::selective(Scope::NoGrad, &Mlx, Location::caller()));
    }

    /// Asserts that `enter` panics where every slot is full, and changes nothing.
    pub(super) fn assert_full_slots_refuse(enter: fn() -> Entered) {
        let full = SLOT_OVERFLOW - ONE_GUARD;
        let state = full << Slot::Cpu.shift() | full << Slot::Mlx.shift();
        for slow in [0, SLOW] {
            set_both(state | slow, low_slot(full));
            assert!(std::panic::catch_unwind(enter).is_err());
            assert_eq!((slots(), Slot::Torch.of(word())), (state | slow, full));
        }
        set_both(0, 0);
    }

    /// What a guard stores says again which slots it covers, and what it found and set there.
    #[test]
    fn guards_that_turn_switches_store_what_they_found() {
        let before = Slot::Torch
            .replaced(joined(pack(GradMode::NoGrad, GradMode::Enabled) + 7 * ONE_GUARD, 0), 3 * ONE_GUARD + 1);
        for (covered, was_enabled, number) in [
            (&[Slot::Cpu, Slot::Mlx, Slot::Torch][..], true, None),
            (&[Slot::Cpu, Slot::Mlx], false, NonZeroU32::new(1)),
            (&[Slot::Cpu, Slot::Mlx, Slot::Torch], false, Some(saved::MAX_GUARD)),
            (&[Slot::Torch], true, None),
            (&[Slot::Mlx], true, NonZeroU32::new(5)),
            (&[], true, NonZeroU32::new(2)),
        ] {
            let mut after = before;
            for &slot in covered {
                after = slot.replaced(after, (slot.guards(before) + 1) * ONE_GUARD + GradMode::Inference as u64);
            }
            let switched = Switched::new(before, after, was_enabled, number);
            let entered = ManuallyDrop::new(Entered { before: halves(before).0, after: switched.0 });
            let (found, set) = entered.words();
            assert_eq!(entered.torch_was_enabled(), was_enabled);
            for slot in Slot::ALL {
                let is_covered = covered.contains(&slot);
                assert_eq!(slot.guards(found) != slot.guards(set), is_covered, "{slot:?} of {covered:?}");
                if is_covered {
                    assert_eq!(slot.of(found), slot.of(before), "{slot:?} of {covered:?}");
                    assert_eq!(slot.guards(set), slot.guards(after), "{slot:?} of {covered:?}");
                }
            }
            assert_eq!(switched.number(), number);
        }
        assert_eq!(u64::from(saved::MAX_GUARD.get()) * ONE_GUARD, Switched::NUMBER, "no bit of a number is lost");
    }
}
