//! Random programs of scopes, with panics, tasks, threads and snapshots, against the model of grad modes.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};

use grad_runtime::{
    Backend, Carry, Cpu, GradGuard, GradMode, Mlx, ModeSnapshot, attr, carry, enable_grad, grad_mode,
    inference_mode, install, is_grad_enabled, no_grad, set_grad_enabled,
};
use support::backend;
use support::backends::{OnOff, Plain};
use support::polling::{poll, suspend};
use support::random::Random;

use crate::mode_model::Guards;
use crate::program::Scope;

thread_local! {
    static ENGINE_MODE: Cell<GradMode> = const { Cell::new(GradMode::Enabled) };
    /// What the modes of this thread must be.
    static MODEL: RefCell<Guards<BACKENDS>> = const { RefCell::new(Guards::new(None)) };
}

backend! {
    /// A backend with a switch of its own.
    Engine, "engine", || ENGINE_MODE.get(), |mode| ENGINE_MODE.set(mode)
}

const BACKENDS: usize = 5;
/// Those before are installed: [`Plain`] is switched by selective scopes alone.
const INSTALLED: usize = 4;
const PLAIN: usize = 4;

const ALL: [&dyn Backend; BACKENDS] = [&Cpu, &Mlx, &Engine, &OnOff, &Plain];

const SCOPES: [Scope; 6] = [
    Scope::NoGrad,
    Scope::EnableGrad,
    Scope::SetGradEnabled(false),
    Scope::SetGradEnabled(true),
    Scope::InferenceMode(true),
    Scope::InferenceMode(false),
];

const MODES: [GradMode; 3] = [GradMode::Enabled, GradMode::NoGrad, GradMode::Inference];

/// The most statements of a block, of nested blocks and of threads.
const MOST_STATEMENTS: usize = 24;
const MOST_NESTED: usize = 5;
const MOST_THREADS: usize = 3;

type Job = Box<dyn FnOnce() + Send>;
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs the program that `bytes` spell, and checks the modes after each statement.
///
/// # Panics
///
/// If a mode is not that of the model.
pub fn scopes(bytes: &[u8]) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        install(&Engine).expect("it has a name of its own");
        install(&OnOff).expect("it has a name of its own");
    });
    let mut thread = Thread::new(Random::from_choices(bytes), MOST_THREADS);
    thread.attempt(0);
    thread.end();
}

/// The payload of a panic that is a part of the program.
struct OnPurpose;

/// Checks the modes of this thread.
fn check() {
    let expected = MODEL.with_borrow(Guards::modes);
    // `OnOff` reports NoGrad in inference mode.
    let reported =
        |backend: usize, mode| if backend == 3 && mode == GradMode::Inference { GradMode::NoGrad } else { mode };
    for (at, backend) in ALL.iter().enumerate() {
        assert_eq!(backend.grad_mode(), reported(at, expected[at]), "{} of {expected:?}", backend.name());
    }
    assert_eq!((grad_mode(), is_grad_enabled()), (expected[0], expected[0].is_enabled()));
}

/// Checks the modes when it is dropped.
struct CheckOnDrop;

impl Drop for CheckOnDrop {
    fn drop(&mut self) {
        if !thread::panicking() {
            check();
        }
    }
}

/// What encloses a block, a closure or a task.
#[derive(Debug, Clone, Copy)]
enum Around {
    Scope(Scope, [bool; BACKENDS]),
    Exactly([Option<GradMode>; BACKENDS]),
}

impl Around {
    /// The modes of installed backends as they are.
    fn current() -> Self {
        let modes = MODEL.with_borrow(Guards::modes);
        Self::Exactly(std::array::from_fn(|backend| (backend < INSTALLED).then_some(modes[backend])))
    }

    fn all(mode: GradMode) -> Self {
        Self::Exactly(std::array::from_fn(|backend| (backend < INSTALLED).then_some(mode)))
    }
}

/// A guard of the model.
struct Expected(usize);

impl Expected {
    fn enter(around: Around) -> Self {
        Self(MODEL.with_borrow_mut(|model| match around {
            Around::Scope(scope, covers) => model.enter(scope, covers),
            Around::Exactly(modes) => model.set(modes),
        }))
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        MODEL.with_borrow_mut(|model| model.leave(self.0));
    }
}

/// A task in a scope, and the same in the model each time it is polled and while it is dropped.
struct Modelled {
    around: Around,
    /// Whether the task is in the scope: a call of an `async fn` is not before its first poll.
    has_entered: bool,
    task: Option<Task>,
}

impl Future for Modelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.has_entered = true;
        let polled = {
            let _expected = Expected::enter(self.around);
            self.task.as_mut().map_or(Poll::Ready(()), |task| task.as_mut().poll(cx))
        };
        check();
        polled
    }
}

impl Drop for Modelled {
    fn drop(&mut self) {
        let _expected = self.has_entered.then(|| Expected::enter(self.around));
        self.task = None;
    }
}

/// Returns the mode of a scope, as a user of guards names it.
const fn real(scope: Scope) -> grad_runtime::Scope {
    match scope {
        Scope::NoGrad => grad_runtime::Scope::NoGrad,
        Scope::EnableGrad => grad_runtime::Scope::EnableGrad,
        Scope::SetGradEnabled(enabled) => grad_runtime::Scope::set_grad_enabled(enabled),
        Scope::InferenceMode(on) => grad_runtime::Scope::InferenceMode(on),
    }
}

/// Chooses the backends that a scope covers: a selective one has one.
fn covered(random: &Random) -> ([bool; BACKENDS], Option<usize>) {
    let selected = random.below(BACKENDS * 2);
    if selected < BACKENDS {
        (std::array::from_fn(|backend| backend == selected), Some(selected))
    } else {
        (std::array::from_fn(|backend| backend != PLAIN), None)
    }
}

fn guard(scope: Scope, backend: Option<usize>) -> GradGuard {
    match (backend, scope) {
        (Some(backend), scope) => real(scope).enter_for(ALL[backend]),
        (None, Scope::NoGrad) => no_grad(),
        (None, Scope::EnableGrad) => enable_grad(),
        (None, Scope::SetGradEnabled(enabled)) => set_grad_enabled(enabled),
        (None, Scope::InferenceMode(on)) => inference_mode(on),
    }
}

#[attr::no_grad]
fn annotated(body: impl FnOnce()) {
    body();
}

#[attr::set_grad_enabled(enabled, backend = Mlx)]
fn annotated_if(enabled: bool, body: impl FnOnce()) {
    body();
}

#[attr::inference_mode]
async fn annotated_task(task: Task) {
    task.await;
}

/// Runs `body` in a scope.
fn in_scope(scope: Scope, backend: Option<usize>, body: impl FnOnce()) {
    match (scope, backend) {
        (Scope::NoGrad, None) => annotated(body),
        (Scope::NoGrad, Some(1)) => no_grad! { <Mlx> body() },
        (Scope::EnableGrad, None) => enable_grad! { body() },
        (Scope::SetGradEnabled(enabled), None) => set_grad_enabled!(enabled, { body() }),
        (Scope::SetGradEnabled(enabled), Some(1)) => annotated_if(enabled, body),
        (Scope::InferenceMode(on), None) => inference_mode!(on, { body() }),
        (scope, backend) => {
            let _guard = guard(scope, backend);
            body();
        }
    }
}

/// Returns `task` in a scope, for every installed backend or for MLX.
#[expect(clippy::redundant_async_block, reason = "the macros take async blocks")]
fn task_in_scope(scope: Scope, is_for_mlx: bool, task: Task) -> Task {
    match (scope, is_for_mlx) {
        (Scope::NoGrad, false) => Box::pin(no_grad!(async move { task.await })),
        (Scope::NoGrad, true) => Box::pin(no_grad!(<Mlx> async move { task.await })),
        (Scope::EnableGrad, false) => Box::pin(enable_grad!(async move { task.await })),
        (Scope::EnableGrad, true) => Box::pin(enable_grad!(<Mlx> async move { task.await })),
        (Scope::SetGradEnabled(enabled), false) => Box::pin(set_grad_enabled!(enabled, async move { task.await })),
        (Scope::SetGradEnabled(enabled), true) => {
            Box::pin(set_grad_enabled!(<Mlx> enabled, async move { task.await }))
        }
        (Scope::InferenceMode(true), false) => Box::pin(annotated_task(task)),
        (Scope::InferenceMode(on), false) => Box::pin(inference_mode!(on, async move { task.await })),
        (Scope::InferenceMode(on), true) => Box::pin(inference_mode!(<Mlx> on, async move { task.await })),
    }
}

/// Returns a task that runs a block between suspensions, in scopes inside each other.
#[expect(clippy::redundant_async_block, reason = "the macro takes an async block")]
fn task(random: Random, nested: usize) -> Task {
    let kind = random.below(4);
    let (scope, is_for_mlx, mode) = (random.of(&SCOPES), random.once_in(3), random.of(&MODES));
    let inner: Task = if nested < MOST_NESTED && random.once_in(2) {
        task(random, nested + 1)
    } else {
        let checked = CheckOnDrop;
        Box::pin(async move {
            let _checked = checked;
            let rounds = random.below(4);
            for _ in 0..rounds {
                check();
                short_block(random.part(2));
                suspend().await;
            }
        })
    };
    let (around, wrapped): (_, Task) = match kind {
        0 => (Around::current(), Box::pin(inner.in_current_grad_mode())),
        1 => (Around::all(mode), Box::pin(inner.with_grad_mode(mode))),
        2 => (Around::current(), Box::pin(carry!(async move { inner.await }))),
        _ => {
            let covers = std::array::from_fn(|backend| if is_for_mlx { backend == 1 } else { backend != PLAIN });
            (Around::Scope(scope, covers), task_in_scope(scope, is_for_mlx, inner))
        }
    };
    let is_call = kind == 3 && scope == Scope::InferenceMode(true) && !is_for_mlx;
    Box::pin(Modelled { around, has_entered: !is_call, task: Some(wrapped) })
}

/// Runs a block without threads and deep nesting, which may panic on purpose.
fn short_block(random: Random) {
    let mut thread = Thread::new(random, 0);
    thread.block(MOST_NESTED - 1);
    thread.end();
}

/// A running thread of a program.
struct Thread {
    random: Random,
    /// The number of threads that it may still start.
    threads: usize,
    guards: Vec<(Expected, GradGuard)>,
    snapshots: Vec<(Around, ModeSnapshot)>,
    tasks: Vec<Task>,
    jobs: Vec<(Around, Job)>,
    running: Vec<JoinHandle<()>>,
}

impl Thread {
    const fn new(random: Random, threads: usize) -> Self {
        Self {
            random,
            threads,
            guards: Vec::new(),
            snapshots: Vec::new(),
            tasks: Vec::new(),
            jobs: Vec::new(),
            running: Vec::new(),
        }
    }

    fn block(&mut self, nested: usize) {
        for _ in 0..self.random.below(MOST_STATEMENTS) {
            if self.random.is_used_up() {
                return;
            }
            self.statement(nested);
            check();
        }
    }

    /// Runs a block, which may fail.
    fn attempt(&mut self, nested: usize) {
        caught(|| self.block(nested));
    }

    /// Returns one of a number of things.
    fn some(&self, count: usize) -> Option<usize> {
        (count > 0).then(|| self.random.below(count))
    }

    fn statement(&mut self, nested: usize) {
        match self.random.below(24) {
            0..4 => {
                let (scope, (covers, backend)) = (self.random.of(&SCOPES), covered(&self.random));
                let expected = Expected::enter(Around::Scope(scope, covers));
                self.guards.push((expected, guard(scope, backend)));
            }
            4..8 => {
                if let Some(at) = self.some(self.guards.len()) {
                    drop(self.guards.swap_remove(at));
                }
            }
            8..11 if nested < MOST_NESTED => {
                let (scope, (covers, backend)) = (self.random.of(&SCOPES), covered(&self.random));
                let _expected = Expected::enter(Around::Scope(scope, covers));
                in_scope(scope, backend, || self.block(nested + 1));
            }
            11 if nested < MOST_NESTED => self.attempt(nested + 1),
            // Without the hook, which a fuzzer takes for a failure.
            12 if nested > 0 && self.random.once_in(3) => resume_unwind(Box::new(OnPurpose)),
            13 => {
                let task = task(self.random.part(3), 0);
                self.tasks.push(task);
            }
            14..16 => {
                if let Some(at) = self.some(self.tasks.len())
                    && caught(|| poll(self.tasks[at].as_mut())) != Some(Poll::Pending)
                {
                    drop(self.tasks.swap_remove(at));
                }
            }
            16 => {
                if let Some(at) = self.some(self.tasks.len()) {
                    drop(self.tasks.swap_remove(at));
                }
            }
            17 => {
                let mode = self.random.of(&MODES);
                self.snapshots.push(if self.random.once_in(3) {
                    (Around::all(mode), ModeSnapshot::all(mode))
                } else {
                    (Around::current(), ModeSnapshot::current())
                });
            }
            18 => {
                if let Some(at) = self.some(self.snapshots.len()) {
                    let (around, snapshot) = self.snapshots[at];
                    self.guards.push((Expected::enter(around), snapshot.enter()));
                }
            }
            19 => {
                let random = self.random.part(3);
                let checked = CheckOnDrop;
                let job = carry(move || {
                    let _checked = checked;
                    short_block(random);
                });
                self.jobs.push((Around::current(), Box::new(job)));
            }
            20 => {
                if let Some(at) = self.some(self.jobs.len()) {
                    let (around, job) = self.jobs.swap_remove(at);
                    let is_called = self.random.chance(70);
                    run(around, job, is_called);
                }
            }
            21..23 if self.threads > 0 => {
                self.threads -= 1;
                let (random, snapshots) = (self.random.part(3), self.snapshots.clone());
                // A task and a job travel.
                let tasks = self.some(self.tasks.len()).map(|at| self.tasks.swap_remove(at)).into_iter().collect();
                let jobs = self.some(self.jobs.len()).map(|at| self.jobs.swap_remove(at)).into_iter().collect();
                let work = move || {
                    let mut thread = Self { snapshots, tasks, jobs, ..Self::new(random, 0) };
                    thread.attempt(0);
                    thread.end();
                };
                let handle = if self.random.once_in(2) {
                    let around = Around::current();
                    grad_runtime::thread::spawn(move || {
                        let _expected = Expected::enter(around);
                        work();
                    })
                } else {
                    thread::spawn(work)
                };
                self.running.push(handle);
            }
            _ => {}
        }
    }

    /// Drops all that is alive, in some order, and waits for the threads.
    fn end(&mut self) {
        while let Some(at) = self.some(self.guards.len()) {
            drop(self.guards.swap_remove(at));
            check();
        }
        while let Some(task) = self.tasks.pop() {
            drop(task);
            check();
        }
        while let Some((around, job)) = self.jobs.pop() {
            run(around, job, false);
            check();
        }
        for thread in self.running.drain(..) {
            thread.join().unwrap_or_else(|payload| resume_unwind(payload));
        }
        check();
    }
}

/// Calls a job, or drops it.
fn run(around: Around, job: Job, is_called: bool) {
    let _expected = Expected::enter(around);
    if is_called {
        caught(job);
    } else {
        drop(job);
    }
}

/// Calls `work`, which may panic on purpose. Returns what it returned.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(returned) => Some(returned),
        Err(payload) if payload.is::<OnPurpose>() => None,
        Err(payload) => resume_unwind(payload),
    }
}
