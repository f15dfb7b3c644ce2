//! Where scopes were entered: recorded for each thread while a `WatchGuard` is alive on it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::panic::Location;

use crate::backend::{ALWAYS_INSTALLED, Backend};
use crate::mode::{GradMode, Scope};
use crate::registry::installed_switches;
use crate::saved::asked_modes;
use crate::snapshot::ModeSnapshot;
use crate::thread_state::{Slot, Word, below_dropped_early, dropped_early_count, mode, mode_in, update_slow, word};

/// A scope that is open on a thread: its guard is alive, or was leaked.
///
/// ```
/// use grad_core::{Mlx, Scope, ScopeKind, open_scopes, watch_scopes};
///
/// let _watch = watch_scopes();
/// let line = line!() + 1;
/// let _guard = Scope::NoGrad.enter_for(&Mlx);
/// let scopes = open_scopes();
/// assert_eq!(scopes[0].kind(), ScopeKind::Scope(Scope::NoGrad));
/// assert_eq!(scopes[0].backend(), Some("mlx"));
/// assert_eq!(scopes[0].place().unwrap().line(), line);
/// assert!(scopes[0].to_string().starts_with("no_grad for mlx at "));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenScope {
    kind: ScopeKind,
    backend: Option<&'static str>,
    place: Option<&'static Location<'static>>,
}

/// The way in which an open scope was entered.
///
/// ```
/// use grad_core::{GradMode, ModeSnapshot, ScopeKind, inference_mode, open_scopes, watch_scopes};
///
/// let _before = inference_mode(true);
/// let _watch = watch_scopes();
/// let modes = ModeSnapshot::all(GradMode::NoGrad);
/// let _guard = modes.enter();
/// let kinds: Vec<ScopeKind> = open_scopes().iter().map(|scope| scope.kind()).collect();
/// let unrecorded = ScopeKind::Unrecorded { mode: Some(GradMode::Inference) };
/// assert_eq!(kinds, [unrecorded, ScopeKind::Carried(modes)]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScopeKind {
    /// A scope such as `no_grad`.
    Scope(Scope),
    /// Modes that were carried here, by [`ModeSnapshot::enter`] or by what grad-runtime builds on it.
    Carried(ModeSnapshot),
    /// A scope that was entered before places were recorded.
    Unrecorded {
        /// The mode that it established, where this thread's state still tells.
        mode: Option<GradMode>,
    },
}

impl OpenScope {
    const fn unrecorded(backend: Option<&'static str>, mode: Option<GradMode>) -> Self {
        Self { kind: ScopeKind::Unrecorded { mode }, backend, place: None }
    }

    /// Returns what was entered.
    ///
    /// See [`ScopeKind`] for an example.
    #[must_use]
    pub const fn kind(&self) -> ScopeKind {
        self.kind
    }

    /// Returns the name of the only backend that the scope covers; `None` if it covers all of them.
    ///
    /// See [`OpenScope`] for an example.
    #[must_use]
    pub const fn backend(&self) -> Option<&'static str> {
        self.backend
    }

    /// Returns the place where modes that were carried here were taken, on the thread that they come from; `None` for another scope,
    /// and if places were not recorded there.
    ///
    /// ```
    /// use grad_core::{ModeSnapshot, no_grad, open_scopes, watch_scopes};
    ///
    /// let _watch = watch_scopes();
    /// let guard = no_grad();
    /// let (modes, line) = (ModeSnapshot::current(), line!());
    /// drop(guard);
    /// let _carried = modes.enter();
    /// assert_eq!(open_scopes()[0].carried_from().unwrap().line(), line);
    /// ```
    #[must_use]
    pub fn carried_from(&self) -> Option<&'static Location<'static>> {
        match self.kind {
            ScopeKind::Carried(modes) => modes.taken_at(),
            _ => None,
        }
    }

    /// Returns the place of the call, macro or attribute that entered the scope; `None` if it was entered before places were
    /// recorded.
    ///
    /// ```
    /// let _before = grad_core::no_grad();
    /// let _watch = grad_core::watch_scopes();
    /// let _guard = grad_core::no_grad();
    /// let places: Vec<_> = grad_core::open_scopes().iter().map(|scope| scope.place()).collect();
    /// assert_eq!(places[0], None);
    /// assert!(places[1].is_some_and(|place| place.line() > 0));
    /// ```
    #[must_use]
    pub const fn place(&self) -> Option<&'static Location<'static>> {
        self.place
    }
}

/// Displays the scope and its place.
///
/// ```
/// use grad_core::{GradMode, ModeSnapshot, no_grad, open_scopes, watch_scopes};
///
/// let _before = no_grad();
/// let _watch = watch_scopes();
/// let _carried = ModeSnapshot::all(GradMode::Enabled).enter();
/// let lines: Vec<String> = open_scopes().iter().map(|scope| scope.to_string()).collect();
/// assert_eq!(lines[0], "a scope in mode no_grad, entered before places were recorded");
/// assert!(lines[1].starts_with("modes carried from "));
/// ```
impl fmt::Display for OpenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ScopeKind::Scope(scope) => write!(f, "{scope}")?,
            ScopeKind::Carried(modes) => {
                return match modes.taken_at() {
                    Some(place) => write!(f, "modes carried from {place}"),
                    None => write!(f, "modes carried to this thread{}", At(self.place)),
                };
            }
            ScopeKind::Unrecorded { mode: Some(mode) } => write!(f, "a scope in mode {mode}")?,
            ScopeKind::Unrecorded { mode: None } => f.write_str("a scope")?,
        }
        if let Some(backend) = self.backend {
            write!(f, " for {backend}")?;
        }
        write!(f, "{}", At(self.place))
    }
}

/// Displays the place of a scope.
struct At(Option<&'static Location<'static>>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(place) => write!(f, " at {place}"),
            None => f.write_str(", entered before places were recorded"),
        }
    }
}

/// An open scope, and what finds it again when its guard is dropped.
pub(crate) struct Record {
    scope: OpenScope,
    /// The states of the thread before and after the scope was entered.
    before: Word,
    after: Word,
    /// The number of the guard that has switched backends with a switch of their own.
    switches: Option<NonZeroU32>,
}

impl Record {
    pub(crate) fn new(
        kind: ScopeKind,
        backend: Option<&'static str>,
        place: &'static Location<'static>,
        (before, after): (Word, Word),
        switches: Option<NonZeroU32>,
    ) -> Self {
        Self { scope: OpenScope { kind, backend, place: Some(place) }, before, after, switches }
    }

    /// Returns the number of this guard among those that cover `slot`, from 1; `None` if it does not cover the slot.
    fn depth(&self, slot: Slot) -> Option<u64> {
        depth(slot, self.before, self.after)
    }
}

fn depth(slot: Slot, before: Word, after: Word) -> Option<u64> {
    Some(slot.guards(after)).filter(|&depth| depth != slot.guards(before))
}

thread_local! {
    // Outermost scope first. No destructors, as for the thread state: scopes work while a thread is torn down.
    static RECORDS: RefCell<ManuallyDrop<Vec<Record>>> = const { RefCell::new(ManuallyDrop::new(Vec::new())) };
    static WATCHES: Cell<usize> = const { Cell::new(0) };
}

/// Returns whether the places of scopes are recorded on this thread.
pub(crate) fn are_recorded() -> bool {
    WATCHES.get() > 0
}

/// Adds the record of a scope that was entered just now.
pub(crate) fn add(record: Record) {
    RECORDS.with_borrow_mut(|records| records.push(record));
}

/// Removes the record of a scope that is about to be left, if it has one. A scope that covers no slot is found by the number of
/// the guard that has switched its backend, another one by its depths in the slots, which no other open scope has.
pub(crate) fn remove(before: Word, after: Word, switch: Option<NonZeroU32>) {
    let depths = Slot::ALL.map(|slot| depth(slot, before, after));
    let covers_no_slot = depths == [None; 3];
    RECORDS.with_borrow_mut(|records| {
        let at = records.iter().rposition(|record| {
            Slot::ALL.map(|slot| record.depth(slot)) == depths && (!covers_no_slot || record.switches == switch)
        });
        if let Some(at) = at {
            records.remove(at);
        }
    });
}

/// Records the place of each scope that this thread enters, until the guard is dropped.
///
/// A program that never calls it pays nothing for it. While places are recorded, entering and leaving a scope takes longer. If calls
/// are nested, recording ends with the last guard; the places of scopes that are open then are forgotten.
///
/// ```
/// use grad_core::{no_grad, open_scopes, watch_scopes};
///
/// let watch = watch_scopes();
/// let guard = no_grad();
/// let place = open_scopes()[0].place().unwrap();
/// assert_eq!(place.column(), 13);
/// drop(watch);
/// assert_eq!(open_scopes()[0].place(), None);
/// ```
pub fn watch_scopes() -> WatchGuard {
    WATCHES.set(WATCHES.get() + 1);
    update_slow();
    WatchGuard { _not_send: WatchBelongsToItsThread([]) }
}

/// Records the places of scopes on this thread until it is dropped; [`watch_scopes`] makes it.
///
/// It can be neither sent nor shared:
///
/// ```compile_fail,E0277
/// let watch = grad_core::watch_scopes();
/// std::thread::spawn(move || drop(watch));
/// ```
#[derive(Debug)]
#[must_use = "places are recorded until the guard is dropped: bind it, as in `let _watch = watch_scopes();`"]
#[clippy::has_significant_drop]
pub struct WatchGuard {
    _not_send: WatchBelongsToItsThread,
}

/// Neither `Send` nor `Sync`; the name is for the compiler's message.
#[derive(Debug)]
struct WatchBelongsToItsThread([*const (); 0]);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let others = WATCHES.get() - 1;
        WATCHES.set(others);
        if others == 0 {
            update_slow();
            // From now on guards are dropped without a look at their records. This frees the memory too.
            RECORDS.with_borrow_mut(|records| **records = Vec::new());
        }
    }
}

/// Returns the scopes that are open on this thread, outermost first. A leaked guard's scope is open, and that of a guard which
/// was dropped before guards entered later is not.
///
/// Of scopes entered before places were recorded, only the number of those that cover each backend is known. The list begins with
/// the fewest scopes that can account for these numbers.
///
/// ```
/// use grad_core::{enable_grad, no_grad, open_scopes, watch_scopes};
///
/// let _watch = watch_scopes();
/// let outer = no_grad();
/// let _inner = enable_grad();
/// assert_eq!(open_scopes().len(), 2);
/// drop(outer); // Out of order.
/// let [inner] = open_scopes()[..] else { unreachable!() };
/// assert!(inner.to_string().starts_with("enable_grad at "));
/// ```
#[must_use]
pub fn open_scopes() -> Vec<OpenScope> {
    let mut scopes = unrecorded();
    RECORDS.with_borrow(|records| scopes.extend(records.iter().map(|record| record.scope)));
    scopes
}

/// Returns the scopes that disable recording for `backend` on this thread now, innermost first; none if it records.
///
/// They are the open scopes that cover the backend and disable recording, out to the innermost one that enables it. Of scopes
/// entered before places were recorded, it is the innermost at most. The list is empty too where
/// [`set_grad_mode`](Backend::set_grad_mode) was called without a scope.
///
/// ```
/// use grad_core::{Cpu, Mlx, Scope, cutting_scopes, enable_grad, no_grad, watch_scopes};
///
/// let _watch = watch_scopes();
/// let _lifted = no_grad();
/// let _enabled = enable_grad();
/// let line = line!() + 1;
/// let _guard = Scope::NoGrad.enter_for(&Mlx);
/// let [scope] = cutting_scopes(&Mlx)[..] else { unreachable!() };
/// assert_eq!(scope.place().unwrap().line(), line);
/// assert!(cutting_scopes(&Cpu).is_empty());
/// ```
#[must_use]
pub fn cutting_scopes(backend: &dyn Backend) -> Vec<OpenScope> {
    if backend.grad_mode().is_enabled() {
        return Vec::new();
    }
    let (name, slot) = (backend.name(), backend.slot());
    let asked = asked_modes();
    let mut scopes = Vec::new();
    let reaches_unrecorded = RECORDS.with_borrow(|records| {
        for record in records.iter().rev() {
            let mode = match slot {
                Some(slot) => record.depth(slot).map(|_| mode_in(record.after, slot)),
                None => asked
                    .iter()
                    .find(|(guard, of, _)| record.switches == Some(*guard) && *of == name)
                    .map(|(_, _, mode)| *mode),
            };
            match mode {
                None => {}
                Some(GradMode::Enabled) => return false,
                // In inference mode; it disables nothing itself.
                Some(_) if record.scope.kind == ScopeKind::Scope(Scope::EnableGrad) => {}
                Some(_) => scopes.push(record.scope),
            }
        }
        true
    });
    if reaches_unrecorded {
        let innermost = match slot {
            Some(slot) => unrecorded_in_slot(slot).1,
            None => unrecorded_switches().into_iter().find(|(of, ..)| *of == name).map(|(_, _, mode)| mode),
        };
        let covering = unrecorded().into_iter().rfind(|scope| scope.backend.is_none_or(|only| only == name));
        if let (Some(mode), Some(scope)) = (innermost, covering)
            && !mode.is_enabled()
        {
            scopes.push(OpenScope::unrecorded(scope.backend, Some(mode)));
        }
    }
    scopes
}

/// Returns the fewest scopes that account for the guards without a record, universal ones first.
fn unrecorded() -> Vec<OpenScope> {
    let [(cpu, cpu_mode), (mlx, mlx_mode)] = [Slot::Cpu, Slot::Mlx].map(unrecorded_in_slot);
    let universal = cpu.min(mlx);
    let mut scopes = Vec::new();
    // Only the modes of the innermost are known, and that it is universal only if the numbers are equal.
    let mode = cpu_mode.filter(|_| cpu == mlx && cpu_mode == mlx_mode);
    push_unrecorded(&mut scopes, None, universal, mode);
    for (slot, guards, mode) in [(Slot::Cpu, cpu, cpu_mode), (Slot::Mlx, mlx, mlx_mode)] {
        push_unrecorded(&mut scopes, Some(slot.name()), guards - universal, mode.filter(|_| universal == 0));
    }
    let (torch, torch_mode) = unrecorded_in_slot(Slot::Torch);
    let torch = torch_mode.map(|mode| (Slot::Torch.name(), torch, mode));
    for (name, guards, mode) in torch.into_iter().chain(unrecorded_switches()) {
        // Universal scopes do not reach a backend that is not installed.
        let is_installed = installed_switches().any(|backend| backend.name() == name);
        let selective = guards.saturating_sub(if is_installed { universal } else { 0 });
        push_unrecorded(&mut scopes, Some(name), selective, Some(mode).filter(|_| selective == guards));
    }
    scopes
}

/// Adds `count` scopes of which the last has established `mode`.
fn push_unrecorded(scopes: &mut Vec<OpenScope>, backend: Option<&'static str>, count: u64, mode: Option<GradMode>) {
    let first = (1..count).map(|_| OpenScope::unrecorded(backend, None));
    scopes.extend(first);
    if count > 0 {
        scopes.push(OpenScope::unrecorded(backend, mode));
    }
}

/// Returns the number of guards alive that cover `slot` and have no record, and the mode that the innermost of them established.
fn unrecorded_in_slot(slot: Slot) -> (u64, Option<GradMode>) {
    let guards = slot.guards(word());
    RECORDS.with_borrow(|records| {
        let recorded = || records.iter().filter_map(|record| Some((record.depth(slot)?, record)));
        let count = guards - dropped_early_count(slot) - recorded().count() as u64;
        if count == 0 {
            return (0, None);
        }
        // Guards without a record are older, so all of them are below those with one.
        let below_records = match recorded().next() {
            Some((depth, record)) => (depth - 1, mode_in(record.before, slot)),
            None => (guards, mode(slot)),
        };
        (count, Some(below_dropped_early(slot, below_records.0).unwrap_or(below_records.1)))
    })
}

/// Returns, for each backend with a switch and no slot, how many guards alive that have switched it have no record, and the mode
/// that the innermost of them asked for.
fn unrecorded_switches() -> Vec<(&'static str, u64, GradMode)> {
    let mut switches: Vec<(&'static str, u64, GradMode)> = Vec::new();
    RECORDS.with_borrow(|records| {
        for (guard, name, mode) in asked_modes() {
            let has_slot = ALWAYS_INSTALLED.iter().any(|backend| backend.name() == name);
            if has_slot || records.iter().any(|record| record.switches == Some(guard)) {
                continue;
            }
            match switches.iter_mut().find(|(of, ..)| *of == name) {
                Some((_, guards, innermost)) => {
                    *guards += 1;
                    *innermost = mode;
                }
                None => switches.push((name, 1, mode)),
            }
        }
    });
    switches
}
