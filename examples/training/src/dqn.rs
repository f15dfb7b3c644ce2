//! Deep Q-learning (Mnih et al., 2015) with a target network that follows softly (Lillicrap et al., 2016).

use std::path::Path;

use anyhow::{Result, ensure};
use grad_runtime::optim::{Adam, AdamOptions, Ema, clip_grad_norm};
use grad_runtime::{Array, Checkpoint, Params, no_grad, params, random};

use crate::cart_pole::{ACTIONS, CartPole, End, STATE, State};
use crate::model::Linear;
use crate::rng::Rng;

/// How an agent learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The number of units of each hidden layer.
    pub hidden: usize,
    /// The learning rate.
    pub lr: f64,
    /// How much a reward of the next step counts.
    pub discount: f64,
    /// How much of the target network an update keeps.
    pub target_decay: f64,
    /// The number of transitions of a step.
    pub batch: usize,
    /// The number of transitions that are remembered.
    pub memory: usize,
    /// The number of steps over which random actions become rare.
    pub exploration: usize,
    /// Where random numbers start.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hidden: 64,
            lr: 5e-4,
            discount: 0.99,
            target_decay: 0.99,
            batch: 64,
            memory: 50_000,
            exploration: 3_000,
            seed: 0,
        }
    }
}

/// The fraction of random actions in the end.
const LEAST_EXPLORATION: f64 = 0.02;

/// Estimates the return of each action, the Q-values.
#[derive(Debug, Clone, Params)]
struct Network<A: Array> {
    layers: [Linear<A>; 3],
}

impl<A: Array> Network<A> {
    fn new(hidden: usize, seed: u64) -> Result<Self> {
        let [first, second, third] = random::split_into(&random::key::<A>(seed)?)?;
        let layers = [
            Linear::new(STATE, hidden, &first)?,
            Linear::new(hidden, hidden, &second)?,
            Linear::new(hidden, ACTIONS, &third)?,
        ];
        Ok(Self { layers })
    }

    fn forward(&self, states: &A) -> grad_runtime::Result<A> {
        let [first, second, third] = &self.layers;
        third.forward(&second.forward(&first.forward(states)?.relu()?)?.relu()?)
    }

    /// Chooses the action with the greatest Q-value. Recording it would cost time: nothing is differentiated here.
    #[grad_runtime::attr::no_grad]
    fn act(&self, state: &State) -> Result<usize> {
        let values = self.forward(&A::from_slice(state, &[1, STATE])?)?;
        ensure!(
            values.to_vec::<f32>()?.iter().all(|value| value.is_finite()),
            "cannot act: a Q-value is not finite; use a lower learning rate"
        );
        Ok(values.argmax(1, false)?.item::<u32>()? as usize)
    }
}

/// A step that was taken.
#[derive(Debug, Clone, Copy)]
struct Transition {
    state: State,
    action: usize,
    next: State,
    /// Whether there is no next step to expect a reward from.
    failed: bool,
}

/// An agent: the network that learns, the target network, and remembered steps.
#[derive(Debug)]
pub struct Agent<A: Array> {
    settings: Settings,
    online: Network<A>,
    target: Ema<Network<A>>,
    optimizer: Adam<A>,
    memory: Vec<Transition>,
    steps: usize,
    rng: Rng,
}

impl<A: Array> Agent<A> {
    /// Creates an agent that knows nothing.
    ///
    /// # Errors
    ///
    /// If a setting is invalid.
    pub fn new(settings: Settings) -> Result<Self> {
        ensure!(
            settings.batch > 0 && settings.memory >= settings.batch,
            "cannot learn from batches larger than the memory"
        );
        let online = Network::new(settings.hidden, settings.seed)?;
        Ok(Self {
            target: Ema::new(&online, settings.target_decay)?,
            optimizer: Adam::new(&online, AdamOptions { lr: settings.lr, ..AdamOptions::default() })?,
            online,
            memory: Vec::new(),
            steps: 0,
            rng: Rng::new(settings.seed),
            settings,
        })
    }

    /// Plays an episode, learning after each step, and returns its return.
    ///
    /// # Errors
    ///
    /// If a Q-value is not finite, or the backend refuses an operation.
    pub fn learn_episode(&mut self) -> Result<usize> {
        let mut cart = CartPole::new(&mut self.rng);
        loop {
            let state = cart.state();
            let random = self.rng.uniform() < self.exploration();
            let action = if random { self.rng.below(ACTIONS) } else { self.online.act(&state)? };
            let end = cart.step(action);
            self.remember(Transition { state, action, next: cart.state(), failed: end == End::Failed });
            if self.memory.len() >= self.settings.batch {
                self.learn()?;
            }
            if end != End::No {
                return Ok(cart.steps());
            }
        }
    }

    /// Plays an episode without random actions and without learning, and returns its return. The target network plays: it is an
    /// average, so it forgets less from one step to the next.
    ///
    /// # Errors
    ///
    /// As [`learn_episode`](Self::learn_episode).
    pub fn play_episode(&self, rng: &mut Rng) -> Result<usize> {
        let mut cart = CartPole::new(rng);
        while cart.step(self.target.model().act(&cart.state())?) == End::No {}
        Ok(cart.steps())
    }

    /// Returns the number of steps so far.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.steps
    }

    /// Returns the fraction of random actions.
    #[expect(clippy::cast_precision_loss, reason = "the numbers of steps are small")]
    fn exploration(&self) -> f64 {
        (1.0 - self.steps as f64 / self.settings.exploration.max(1) as f64).max(LEAST_EXPLORATION)
    }

    /// Remembers a transition in the place of the oldest.
    fn remember(&mut self, transition: Transition) {
        let at = self.steps % self.settings.memory;
        if at < self.memory.len() {
            self.memory[at] = transition;
        } else {
            self.memory.push(transition);
        }
        self.steps += 1;
    }

    /// Moves the network along the gradient of the loss of a random batch, and the target network towards the network.
    fn learn(&mut self) -> Result<()> {
        let size = self.settings.batch;
        let batch = (0..size).map(|_| self.memory[self.rng.below(self.memory.len())]).collect::<Vec<_>>();
        let states = |state: fn(&Transition) -> State| {
            A::from_slice(&batch.iter().flat_map(state).collect::<Vec<f32>>(), &[size, STATE])
        };
        let (before, after) = (states(|transition| transition.state)?, states(|transition| transition.next)?);
        let actions = batch.iter().map(|transition| i64::from(transition.action != 0)).collect::<Vec<_>>();
        let actions = A::from_slice(&actions, &[size, 1])?;
        let goes_on =
            batch.iter().map(|transition| if transition.failed { 0.0 } else { 1.0 }).collect::<Vec<f32>>();
        let goes_on = A::from_slice(&goes_on, &[size])?;

        let loss = |online: &Network<A>| -> grad_runtime::Result<A> {
            // The goal is a constant. The network that is differentiated takes part in it, as it chooses the action (double
            // Q-learning); the scope keeps that forward pass from being recorded.
            let goal = no_grad! {
                let action = online.forward(&after)?.argmax(1, true)?;
                let value = self.target.model().forward(&after)?.take_along_axis(&action, 1)?.squeeze(1)?;
                value.multiply(&goes_on)?.multiply(self.settings.discount)?.add(1.0)?
            };
            let value = online.forward(&before)?.take_along_axis(&actions, 1)?.squeeze(1)?;
            huber(&value.subtract(&goal)?)
        };
        let gradients = params::grad(loss, &self.online)?;
        let (gradients, _norm) = clip_grad_norm(&gradients, 10.0)?;
        self.optimizer.step(&mut self.online, &gradients)?;
        // The average moves in a scope of its own.
        self.target.update(&self.online)?;
        // MLX is lazy: without this, the graph would grow from step to step.
        params::eval(&(self.online.clone(), (self.target.clone(), self.optimizer.clone())))?;
        Ok(())
    }

    /// Writes the networks and the optimizer. A file that is there is replaced as a whole or not at all.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert("online", &self.online)?;
        checkpoint.insert("target", &self.target)?;
        checkpoint.insert("optimizer", &self.optimizer)?;
        checkpoint.set("steps", self.steps);
        Ok(checkpoint.save(path)?)
    }
}

/// Returns the mean of `e² / 2` where `|e| < 1`, and of `|e| - 1/2` elsewhere: one bad estimate does not outweigh a batch.
fn huber<A: Array>(errors: &A) -> grad_runtime::Result<A> {
    let distance = errors.abs()?;
    let near = distance.minimum(1.0)?;
    // With near = min(|e|, 1), both cases are near · (|e| - near / 2).
    near.multiply(distance.subtract(near.multiply(0.5)?)?)?.mean_all()
}
