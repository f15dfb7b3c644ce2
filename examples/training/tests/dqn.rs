//! Learns to balance a pole for a while.
#![cfg(feature = "backend")]

use grad_runtime::Array;
use training::dqn::{Agent, Settings};
use training::rng::Rng;

/// A small agent that looks less far ahead learns quickly, to balance the pole ten times as long as one that knows nothing.
fn an_agent_learns<A: Array>() {
    let settings = Settings {
        hidden: 32,
        lr: 3e-3,
        discount: 0.95,
        target_decay: 0.95,
        batch: 32,
        memory: 5_000,
        exploration: 500,
        ..Settings::default()
    };
    let mut agent = Agent::<A>::new(settings).unwrap();
    let play = |agent: &Agent<A>| {
        let mut rng = Rng::new(100);
        (0..4).map(|_| agent.play_episode(&mut rng).unwrap()).sum::<usize>() / 4
    };
    let before = play(&agent);
    let mut returns = Vec::<usize>::new();
    while returns.len() < 10 || returns[returns.len() - 10..].iter().sum::<usize>() < 800 {
        assert!(agent.steps() < 3_000, "{returns:?}");
        returns.push(agent.learn_episode().unwrap());
    }
    let after = play(&agent);
    assert!(before < 20 && after > 80, "{before} before, {after} after; {returns:?}");
}

/// A rate that is far too high ends with an error and not with an agent that has learned nothing.
fn values_that_are_not_finite_are_an_error<A: Array>() {
    let settings = Settings { lr: 1e38, hidden: 4, batch: 8, exploration: 1, ..Settings::default() };
    let mut agent = Agent::<A>::new(settings).unwrap();
    let error = (0..20).find_map(|_| agent.learn_episode().err()).unwrap().to_string();
    assert!(error.starts_with("cannot act: ") && error.ends_with("use a lower learning rate"), "{error}");
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

#[cfg(feature = "cpu")]
#[test]
fn values_that_are_not_finite_are_an_error_on_cpu() {
    values_that_are_not_finite_are_an_error::<grad_runtime::cpu::Array>();
}

#[cfg(feature = "mlx")]
#[test]
fn values_that_are_not_finite_are_an_error_on_mlx() {
    values_that_are_not_finite_are_an_error::<grad_runtime::mlx::Array>();
}
