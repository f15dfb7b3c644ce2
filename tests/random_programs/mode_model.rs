//! The grad modes of a thread, after guarantees 2, 5, 7 and 10.

use grad_runtime::GradMode;

use crate::program::{Scope, Target};
use crate::reference::Mistake;

/// A backend with arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Cpu,
    Mlx,
}

/// The modes of the CPU and of MLX.
pub type Pair = [GradMode; 2];

/// The guards alive on a thread, innermost last: for each its number, and the mode that it established on each of `N` backends that
/// it covers.
#[derive(Debug, Clone)]
pub struct Guards<const N: usize> {
    alive: Vec<(usize, [Option<GradMode>; N])>,
    next: usize,
    mistake: Option<Mistake>,
}

impl<const N: usize> Guards<N> {
    /// The guards of a new thread.
    pub const fn new(mistake: Option<Mistake>) -> Self {
        Self { alive: Vec::new(), next: 0, mistake }
    }

    pub fn mode(&self, backend: usize) -> GradMode {
        self.alive.iter().rev().find_map(|(_, modes)| modes[backend]).unwrap_or_default()
    }

    pub fn modes(&self) -> [GradMode; N] {
        std::array::from_fn(|backend| self.mode(backend))
    }

    pub const fn depth(&self) -> usize {
        self.alive.len()
    }

    fn applied(&self, scope: Scope, found: GradMode) -> GradMode {
        match (scope, found) {
            (Scope::InferenceMode(false), _) => GradMode::Enabled,
            (Scope::EnableGrad | Scope::SetGradEnabled(true), _)
                if self.mistake == Some(Mistake::EnableGradLiftsInferenceMode) =>
            {
                GradMode::Enabled
            }
            (Scope::InferenceMode(true), _) | (_, GradMode::Inference) => GradMode::Inference,
            (Scope::NoGrad | Scope::SetGradEnabled(false), _) => GradMode::NoGrad,
            (Scope::EnableGrad | Scope::SetGradEnabled(true), _) => GradMode::Enabled,
        }
    }

    /// Enters a scope on the backends that it covers, and returns the number of its guard.
    pub fn enter(&mut self, scope: Scope, covers: [bool; N]) -> usize {
        let established =
            std::array::from_fn(|backend| covers[backend].then(|| self.applied(scope, self.mode(backend))));
        self.set(established)
    }

    /// Enters these modes, and returns the number of the guard.
    pub fn set(&mut self, modes: [Option<GradMode>; N]) -> usize {
        let guard = self.next;
        self.next += 1;
        self.alive.push((guard, modes));
        guard
    }

    /// Drops a guard, wherever among those alive it is.
    pub fn leave(&mut self, guard: usize) {
        if let Some(at) = self.alive.iter().position(|(alive, _)| *alive == guard) {
            if self.mistake == Some(Mistake::LeavingEndsTheScopesInside) {
                self.alive.truncate(at);
            } else {
                self.alive.remove(at);
            }
        }
    }
}

/// The modes of a thread on which a program with arrays runs.
#[derive(Debug, Clone)]
pub struct Modes {
    this: Engine,
    guards: Guards<2>,
}

impl Modes {
    /// The modes of a new thread.
    pub const fn new(this: Engine, mistake: Option<Mistake>) -> Self {
        Self { this, guards: Guards::new(mistake) }
    }

    pub fn both(&self) -> Pair {
        self.guards.modes()
    }

    /// The mode of the backend that the program runs on.
    pub fn current(&self) -> GradMode {
        self.guards.mode(self.this as usize)
    }

    pub const fn depth(&self) -> usize {
        self.guards.depth()
    }

    /// Enters a scope, and returns the number of its guard.
    pub fn enter(&mut self, scope: Scope, target: Target) -> usize {
        let covers = [Engine::Cpu, Engine::Mlx].map(|engine| match target {
            Target::Every => true,
            Target::This => engine == self.this,
            Target::Other => engine != self.this,
        });
        self.guards.enter(scope, covers)
    }

    /// Enters what a function that is differentiated starts in: Enabled on its backend and, for `is_grad_enabled()`, on the CPU.
    pub fn enter_differentiated(&mut self) -> usize {
        if self.guards.mistake == Some(Mistake::TransformsStartInTheModeOfTheCall) {
            return self.guards.set([None, None]);
        }
        let mlx = (self.this == Engine::Mlx).then_some(GradMode::Enabled);
        self.guards.set([Some(GradMode::Enabled), mlx])
    }

    /// Enters Enabled if `vmap` were to do so, which it does not.
    pub fn enter_mapped(&mut self) -> usize {
        let enabled = (self.guards.mistake == Some(Mistake::VmapStartsEnabled)).then_some(GradMode::Enabled);
        self.guards.set([enabled, enabled])
    }

    /// Drops a guard, wherever among those alive it is.
    pub fn leave(&mut self, guard: usize) {
        self.guards.leave(guard);
    }
}
