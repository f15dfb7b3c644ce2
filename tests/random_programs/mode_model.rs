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

/// The guards alive on a thread, innermost last: for each its number, and the mode that it established on each backend that it
/// covers.
#[derive(Debug, Clone)]
pub struct Modes {
    this: Engine,
    alive: Vec<(usize, [Option<GradMode>; 2])>,
    next: usize,
    mistake: Option<Mistake>,
}

impl Modes {
    /// The modes of a new thread.
    pub const fn new(this: Engine, mistake: Option<Mistake>) -> Self {
        Self { this, alive: Vec::new(), next: 0, mistake }
    }

    fn of(&self, engine: Engine) -> GradMode {
        self.alive.iter().rev().find_map(|(_, modes)| modes[engine as usize]).unwrap_or_default()
    }

    pub fn both(&self) -> Pair {
        [self.of(Engine::Cpu), self.of(Engine::Mlx)]
    }

    /// The mode of the backend that the program runs on.
    pub fn current(&self) -> GradMode {
        self.of(self.this)
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

    /// Enters a scope, and returns the number of its guard.
    pub fn enter(&mut self, scope: Scope, target: Target) -> usize {
        let covers = |engine| match target {
            Target::Every => true,
            Target::This => engine == self.this,
            Target::Other => engine != self.this,
        };
        let establish = |engine| covers(engine).then(|| self.applied(scope, self.of(engine)));
        let modes = [establish(Engine::Cpu), establish(Engine::Mlx)];
        self.push(modes)
    }

    /// Enters what a function that is differentiated starts in: Enabled on its backend and, for `is_grad_enabled()`, on the CPU.
    pub fn enter_differentiated(&mut self) -> usize {
        if self.mistake == Some(Mistake::TransformsStartInTheModeOfTheCall) {
            return self.push([None, None]);
        }
        let mlx = (self.this == Engine::Mlx).then_some(GradMode::Enabled);
        self.push([Some(GradMode::Enabled), mlx])
    }

    /// Enters Enabled if `vmap` were to do so, which it does not.
    pub fn enter_mapped(&mut self) -> usize {
        let enabled = (self.mistake == Some(Mistake::VmapStartsEnabled)).then_some(GradMode::Enabled);
        self.push([enabled, enabled])
    }

    fn push(&mut self, modes: [Option<GradMode>; 2]) -> usize {
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
