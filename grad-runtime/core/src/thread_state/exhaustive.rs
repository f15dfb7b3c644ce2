//! Every program of a few guards, entered and dropped in any order: what a thread stores against the plain statement of guarantees
//! 1, 2, 7 and 10.
//!
//! There are too many programs to run each. But two programs that leave the same state behind go on in the same way, so this is a
//! search for states. It begins with no guard alive. From each state it enters each kind of guard, drops each guard alive, and
//! unwinds through the last guard alive, the last two, and so on; and it goes on from each state that is new. A state is all that
//! this crate stores for the thread, what each guard alive stores, and the list of the plain statement. States are told apart by
//! hashes of 128 bits.
//!
//! Each test asserts how many states its search visits, and by how many transitions.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Barrier;
use std::thread;

use super::*;
use crate::backend::{Cpu, Mlx};
use crate::registry::install;
use crate::saved::SavedMode;
use crate::snapshot::ModeSnapshot;
use crate::torch::Torch;

use GradMode::{Enabled, Inference, NoGrad};

thread_local! {
    static ENGINE_MODE: Cell<GradMode> = const { Cell::new(Enabled) };
    static LIBTORCH: Cell<bool> = const { Cell::new(true) };
}

/// Installs a libtorch whose switch is `LIBTORCH`.
#[cfg(feature = "torch")]
fn install_libtorch() {
    extern "C" fn is_enabled() -> bool {
        LIBTORCH.get()
    }
    extern "C" fn set_enabled(enabled: bool) {
        LIBTORCH.set(enabled);
    }
    switch::take(is_enabled, set_enabled);
    install(&Torch).unwrap();
}

/// A backend with a switch of its own.
struct Engine;

impl Backend for Engine {
    fn name(&self) -> &'static str {
        "engine"
    }

    fn grad_mode(&self) -> GradMode {
        ENGINE_MODE.get()
    }

    fn set_grad_mode(&self, mode: GradMode) {
        ENGINE_MODE.set(mode);
    }
}

/// The backends of the search, in the order of `Modes`.
const BACKENDS: [&dyn Backend; 4] = [&Cpu, &Mlx, &Torch, &Engine];

const CPU: usize = 0;
const MLX: usize = 1;
const TORCH: usize = 2;
const ENGINE: usize = 3;

/// A mode for each backend.
type Modes = [GradMode; 4];

/// For each backend that a guard covers, the mode that it established.
type Established = [Option<GradMode>; 4];

/// The plain statement: guarantee 2 in `in_force`, guarantees 7 and 10 in `established`.
struct Plain<'a> {
    /// The modes before the first guard.
    beginning: Modes,
    /// What the guards alive established, in the order in which they were entered.
    alive: &'a [Alive],
    /// Whether a universal scope covers each backend.
    installed: [bool; 4],
}

impl Plain<'_> {
    /// The innermost guard alive that covers a backend decides; without one, the mode of the beginning is back.
    fn in_force(&self) -> Modes {
        let of = |backend: usize| self.alive.iter().rev().find_map(|guard| guard.established[backend]);
        std::array::from_fn(|backend| of(backend).unwrap_or(self.beginning[backend]))
    }

    /// A universal scope covers every installed backend, a selective one covers one; and each changes the mode in force as
    /// `Scope::applied_to` says.
    fn established(&self, kind: Kind) -> Established {
        let found = self.in_force();
        std::array::from_fn(|backend| match kind {
            Kind::Universal(scope) => self.installed[backend].then(|| scope.applied_to(found[backend])),
            Kind::Selective(scope, only) => (backend == only).then(|| scope.applied_to(found[backend])),
            Kind::Carried(modes) => modes.get(backend).copied(),
        })
    }
}

/// What is entered.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Universal(Scope),
    /// A scope on one of `BACKENDS`.
    Selective(Scope, usize),
    /// The modes of the CPU and MLX on a thread where no backend was installed.
    Carried([GradMode; 2]),
}

/// A guard alive: what it stores, and what it established.
#[derive(Debug, Clone, Copy, Hash)]
struct Alive {
    stored: (u64, u64),
    established: Established,
}

impl Alive {
    fn into_guard(self) -> Entered {
        let (before, after) = self.stored;
        Entered { before, after }
    }
}

/// All that a thread stores, and the guards that are alive on it.
#[derive(Clone, Hash)]
struct State {
    slots: u64,
    torch: u32,
    dropped_early: [Vec<DroppedEarly>; 3],
    saved: Vec<SavedMode>,
    engine: GradMode,
    libtorch: bool,
    alive: Vec<Alive>,
}

impl State {
    /// Returns the state of this thread where these guards are alive.
    fn store(alive: Vec<Alive>) -> Self {
        Self {
            slots: slots(),
            torch: torch_slot(),
            dropped_early: DROPPED_EARLY.with_borrow(|ranges| (**ranges).clone()),
            saved: saved::stored::all(),
            engine: ENGINE_MODE.get(),
            libtorch: LIBTORCH.get(),
            alive,
        }
    }

    /// Makes this the state of this thread.
    fn load(&self) {
        set_both(self.slots, self.torch);
        DROPPED_EARLY.with_borrow_mut(|ranges| (**ranges).clone_from(&self.dropped_early));
        saved::stored::set_all(&self.saved);
        ENGINE_MODE.set(self.engine);
        LIBTORCH.set(self.libtorch);
    }

    fn hash(&self) -> u128 {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, self).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        half(0) | (half(1) << 64)
    }
}

/// What a search has visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Visited {
    states: usize,
    transitions: usize,
}

impl Visited {
    #[track_caller]
    fn assert(self, states: usize, transitions: usize) {
        if !cfg!(miri) {
            assert_eq!(self, Self { states, transitions });
        }
    }
}

/// A search, and which guards it enters.
#[derive(Clone)]
struct Search {
    kinds: Vec<Kind>,
    /// How many guards a program enters.
    guards: usize,
    /// Through how many guards it unwinds at most.
    unwound: usize,
    installed: [bool; 4],
    beginning: Modes,
    seen: HashSet<u128>,
    transitions: usize,
}

impl Search {
    /// A search with each scope on each of these backends, and universal ones on the CPU, MLX and those installed.
    fn new(guards: usize, selective: &[usize], installed: &[usize]) -> Self {
        // Miri takes a minute for two guards.
        let guards = if cfg!(miri) { 1 } else { guards };
        let scopes = [Scope::NoGrad, Scope::EnableGrad, Scope::InferenceMode(true), Scope::InferenceMode(false)];
        let on = |scope| selective.iter().map(move |&only| Kind::Selective(scope, only));
        Self {
            kinds: scopes.iter().flat_map(|&scope| on(scope).chain([Kind::Universal(scope)])).collect(),
            guards,
            unwound: guards,
            installed: std::array::from_fn(|backend| backend < 2 || installed.contains(&backend)),
            beginning: [Enabled; 4],
            seen: HashSet::new(),
            transitions: 0,
        }
    }

    /// Visits every state, and returns how many there are, and how many transitions between them.
    fn run(mut self) -> Visited {
        assert_eq!(BACKENDS.map(saved::mode_in_force), [Enabled; 4], "a new thread starts Enabled");
        let [cpu, mlx, torch, engine] = self.beginning;
        let beginning = State {
            slots: pack(cpu, mlx),
            torch: 0,
            dropped_early: Default::default(),
            saved: Vec::new(),
            engine,
            libtorch: torch.is_enabled(),
            alive: Vec::new(),
        };
        beginning.load();
        let mut level = vec![];
        self.visit(beginning, &mut level);
        for entered in 1..=self.guards {
            let mut next_level = vec![];
            for state in level {
                for kind in self.kinds.clone() {
                    let next = self.enter(&state, kind);
                    self.visit(next, &mut next_level);
                }
                if entered == self.guards {
                    next_level.clear(); // Nothing goes on from there.
                }
            }
            level = next_level;
        }
        State { slots: 0, torch: 0, engine: Enabled, libtorch: true, ..State::store(vec![]) }.load();
        Visited { states: self.seen.len(), transitions: self.transitions }
    }

    /// Visits a state where this thread is, and those that it comes to from there without entering a guard. Adds the new ones to
    /// `level`.
    fn visit(&mut self, state: State, level: &mut Vec<State>) {
        let mut first_new = level.len();
        self.check(state, level);
        while let Some(state) = level.get(first_new).cloned() {
            first_new += 1;
            for at in 0..state.alive.len() {
                state.load();
                let mut alive = state.alive.clone();
                drop(alive.remove(at).into_guard());
                self.transitions += 1;
                self.check(State::store(alive), level);
            }
            for count in 1..=state.alive.len().min(self.unwound) {
                state.load();
                let mut alive = state.alive.clone();
                let inside = alive.split_off(alive.len() - count);
                assert!(catch_unwind(AssertUnwindSafe(|| call_and_unwind(&inside))).is_err());
                self.transitions += 1;
                self.check(State::store(alive), level);
            }
        }
    }

    fn enter(&mut self, state: &State, kind: Kind) -> State {
        state.load();
        let plain = Plain { beginning: self.beginning, alive: &state.alive, installed: self.installed };
        let established = plain.established(kind);
        let entered = ManuallyDrop::new(match kind {
            Kind::Universal(scope) => Entered::universal(scope, Location::caller()),
            Kind::Selective(scope, only) => Entered::selective(scope, BACKENDS[only], Location::caller()),
            Kind::Carried([cpu, mlx]) => Entered::exactly(ModeSnapshot::of_slots(cpu, mlx).as_static()),
        });
        self.transitions += 1;
        let mut alive = state.alive.clone();
        alive.push(Alive { stored: (entered.before, entered.after), established });
        State::store(alive)
    }

    /// Checks the state of this thread against the plain statement, and adds it to `level` if it is new.
    fn check(&mut self, state: State, level: &mut Vec<State>) {
        let plain = Plain { beginning: self.beginning, alive: &state.alive, installed: self.installed };
        let in_force = plain.in_force();
        assert_eq!(BACKENDS.map(saved::mode_in_force), in_force, "alive: {:?}", state.alive);
        assert_eq!(LIBTORCH.get(), in_force[TORCH].is_enabled(), "alive: {:?}", state.alive);
        if state.alive.is_empty() {
            assert_eq!(state.slots, pack(in_force[0], in_force[1]), "counts and flags are left");
            assert_eq!(state.torch, 0);
            assert!(state.saved.is_empty() && state.dropped_early.iter().all(Vec::is_empty), "memory is left");
        }
        if self.seen.insert(state.hash()) {
            level.push(state);
        }
    }
}

/// Calls a function in the scope of each guard, one in the other, and unwinds in the innermost.
fn call_and_unwind(guards: &[Alive]) {
    let [guard, inner @ ..] = guards else { resume_unwind(Box::new(())) };
    let _guard = guard.into_guard();
    call_and_unwind(inner);
}

/// Runs both searches at once, each on a thread of its own.
fn at_once(searches: [Search; 2]) -> [Visited; 2] {
    let started = Barrier::new(2);
    thread::scope(|threads| {
        let spawn = |search: Search| {
            threads.spawn(|| {
                started.wait();
                search.run()
            })
        };
        searches.map(spawn).map(|thread| thread.join().unwrap())
    })
}

/// First up to four guards, for all backends, the CPU or MLX. Then up to three of more kinds: with a backend that has a switch of its
/// own and is not installed; with libtorch; and with both installed and modes that are carried.
///
/// Guarantee 1 is checked by running two searches at once, which begin in different modes: each transition of one thread is among
/// those of another.
///
/// It is one test because a backend that is installed stays.
#[test]
fn guarantee_2_and_1_and_7_and_10_in_every_order() {
    let search = Search { unwound: 2, ..Search::new(4, &[CPU, MLX], &[]) };
    let other = Search { beginning: [Inference, NoGrad, Enabled, Enabled], ..search.clone() };
    let [search, other] = at_once([search, other]);
    search.assert(48_928, 261_720);
    other.assert(43_304, 233_614);

    Search::new(3, &[CPU, MLX, ENGINE], &[]).run().assert(5_540, 28_342);

    #[cfg(feature = "torch")]
    {
        install_libtorch();
        let search = Search::new(3, &[CPU, MLX, TORCH], &[TORCH]);
        let other = Search { beginning: [Enabled, Enabled, NoGrad, Enabled], ..search.clone() };
        let [search, other] = at_once([search, other]);
        search.assert(6_162, 30_656);
        other.assert(6_209, 30_696);
        tests::assert_full_slots_refuse(|| Entered::selective(Scope::NoGrad, &Torch, Location::caller()));
    }

    install(&Engine).unwrap();
    let has_torch = cfg!(feature = "torch");
    let mut search = Search::new(3, &[CPU, MLX, ENGINE], if has_torch { &[TORCH, ENGINE] } else { &[ENGINE] });
    search.kinds.push(Kind::Carried([NoGrad, Enabled]));
    let other = Search { beginning: [Enabled, Enabled, Enabled, Inference], ..search.clone() };
    let [search, other] = at_once([search, other]);
    search.assert(if has_torch { 7_312 } else { 7_302 }, if has_torch { 37_133 } else { 37_113 });
    other.assert(if has_torch { 7_132 } else { 7_104 }, if has_torch { 36_247 } else { 36_159 });
}

/// Up to six guards, for all backends, the CPU or MLX.
#[test]
#[ignore = "takes three minutes and 1 GB: `tests/core/run exhaustive`"]
fn guarantee_2_and_7_and_10_in_every_order_of_six_guards() {
    Search { unwound: 2, ..Search::new(6, &[CPU, MLX], &[]) }.run().assert(14_792_943, 97_260_187);
}
