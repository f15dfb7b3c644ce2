//! Learns to balance a pole for a while.
#![cfg(any(feature = "cpu", feature = "mlx"))]

use grad_runtime::Array;
use training::dqn::{Agent, Settings};
use training::rng::Rng;

/// A small agent balances the pole three times as long as one that knows nothing, and learns the same each time.
fn an_agent_learns<A: Array>() {
    let settings = Settings { hidden: 32, batch: 32, exploration: 800, target_decay: 0.98, ..Settings::default() };
    let mut agent = Agent::<A>::new(settings).unwrap();
    let play = |agent: &Agent<A>| {
        let mut rng = Rng::new(100);
        (0..5).map(|_| agent.play_episode(&mut rng).unwrap()).sum::<usize>() / 5
    };
    let before = play(&agent);
    let mut returns = Vec::new();
    while agent.steps() < 1500 {
        returns.push(agent.learn_episode().unwrap());
    }
    let after = play(&agent);
    assert!(before < 30 && after > 90, "{before} before, {after} after; {returns:?}");
}

#[cfg(feature = "cpu")]
#[test]
fn an_agent_learns_on_cpu() {
    an_agent_learns::<grad_runtime::cpu::Array>();
}

#[cfg(feature = "mlx")]
#[test]
fn an_agent_learns_on_mlx() {
    an_agent_learns::<grad_runtime::mlx::Array>();
}
