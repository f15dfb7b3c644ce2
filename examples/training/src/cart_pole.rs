//! The cart and pole of Barto, Sutton and Anderson (1983): push a cart to the left or to the right so that the pole on it stays up.

use crate::rng::Rng;

/// The number of elements of a [`State`].
pub const STATE: usize = 4;
/// The number of actions: push to the left, push to the right.
pub const ACTIONS: usize = 2;
/// The number of steps after which an episode ends; a return of as many is the best.
pub const MAX_STEPS: usize = 500;

/// Position of the cart in m, its velocity in m/s, angle of the pole in rad, its angular velocity in rad/s.
pub type State = [f32; STATE];

const GRAVITY: f32 = 9.8; // m/s²
const CART_MASS: f32 = 1.0; // kg
const POLE_MASS: f32 = 0.1; // kg
const HALF_LENGTH: f32 = 0.5; // of the pole, m
const FORCE: f32 = 10.0; // of a push, N
const INTERVAL: f32 = 0.02; // between two steps, s
const MAX_POSITION: f32 = 2.4; // m
const MAX_ANGLE: f32 = 12.0 * std::f32::consts::PI / 180.0; // rad

/// How a step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The episode goes on.
    No,
    /// The pole has fallen, or the cart has left the track.
    Failed,
    /// [`MAX_STEPS`] are over.
    Time,
}

/// An episode. Each step has a reward of 1.
#[derive(Debug, Clone)]
pub struct CartPole {
    state: State,
    steps: usize,
}

impl CartPole {
    /// Starts an episode near the upright rest.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the state is float32")]
    pub fn new(rng: &mut Rng) -> Self {
        Self { state: std::array::from_fn(|_| (0.1 * rng.uniform() - 0.05) as f32), steps: 0 }
    }

    /// Returns the state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Returns the number of steps so far, which is the return.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.steps
    }

    /// Pushes the cart to the left (0) or to the right (1) for 0.02 s.
    pub fn step(&mut self, action: usize) -> End {
        let [position, velocity, angle, angular_velocity] = self.state;
        let force = if action == 0 { -FORCE } else { FORCE };
        let (sin, cos) = angle.sin_cos();
        let mass = CART_MASS + POLE_MASS;
        // Equations of motion without friction, and a step of Euler's method.
        let push = (force + POLE_MASS * HALF_LENGTH * angular_velocity.powi(2) * sin) / mass;
        let angular_acceleration =
            (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cos.powi(2) / mass));
        let acceleration = push - POLE_MASS * HALF_LENGTH * angular_acceleration * cos / mass;
        self.state = [
            position + INTERVAL * velocity,
            velocity + INTERVAL * acceleration,
            angle + INTERVAL * angular_velocity,
            angular_velocity + INTERVAL * angular_acceleration,
        ];
        self.steps += 1;
        let [position, _, angle, _] = self.state;
        if position.abs() > MAX_POSITION || angle.abs() > MAX_ANGLE {
            End::Failed
        } else if self.steps == MAX_STEPS {
            End::Time
        } else {
            End::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CartPole, End, MAX_STEPS, State};
    use crate::rng::Rng;

    fn assert_close(found: State, expected: State) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    /// By hand: at rest and upright, a push of 10 N accelerates by 10 / 1.1 · (1 + 0.05 / 1.1 / (0.5 · (4/3 - 0.1 / 1.1))) m/s².
    #[test]
    fn a_push_from_rest_moves_as_the_equations_say() {
        let mut cart = CartPole { state: [0.0; 4], steps: 0 };
        assert_eq!(cart.step(1), End::No);
        assert_close(cart.state(), [0.0, 0.195_121_95, 0.0, -0.292_682_93]);
        assert_eq!(cart.step(0), End::No);
        assert_close(cart.state(), [0.003_902_439, 0.0, -0.005_853_659, 0.0]);
    }

    #[test]
    fn a_constant_push_fails_and_a_balanced_pole_runs_out_of_time() {
        let mut cart = CartPole::new(&mut Rng::new(0));
        let steps = (1..=MAX_STEPS).find(|_| cart.step(1) == End::Failed).unwrap();
        assert!((5..20).contains(&steps) && cart.steps() == steps, "{steps}");

        let mut cart = CartPole::new(&mut Rng::new(0));
        let end = loop {
            let [position, velocity, angle, angular_velocity] = cart.state();
            let push = 0.1 * position + 0.3 * velocity + 4.0 * angle + angular_velocity;
            match cart.step(usize::from(push > 0.0)) {
                End::No => {}
                end => break end,
            }
        };
        assert_eq!((end, cart.steps()), (End::Time, MAX_STEPS));
    }
}
