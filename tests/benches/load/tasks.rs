//! 10,000 async tasks at a time on 4 workers, in mixed modes, some cancelled and some panicking.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use grad_runtime::prelude::*;
use grad_runtime::{Scope, grad_mode};
use support::random::Random;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

const WORKERS: usize = 4;
const TASKS: usize = 10_000;
const TIME: Duration = Duration::from_secs(6);

/// Keeps `TASKS` tasks alive for a tenth of the minute, and returns how many have ended.
pub fn run() -> u64 {
    let [mut finished, mut cancelled, mut panicked] = [0_u64; 3];
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_time().build().unwrap();
    runtime.block_on(async {
        let (end, seeds) = (Instant::now() + TIME, AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let start = |tasks: &mut JoinSet<u64>| {
            let random = Random::new(seeds.fetch_add(1, Ordering::Relaxed));
            let cancel = random.once_in(5).then(|| Duration::from_micros(random.below(20_000) as u64));
            let handle = tasks.spawn(task(random));
            if let Some(after) = cancel {
                tokio::spawn(async move {
                    sleep(after).await;
                    handle.abort();
                    assert_enabled();
                });
            }
        };
        for _ in 0..TASKS {
            start(&mut tasks);
        }
        let mut modes_seen = 0;
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok(seen) => (finished, modes_seen) = (finished + 1, modes_seen + seen),
                Err(error) if error.is_cancelled() => cancelled += 1,
                Err(error) => {
                    // Any other panic is a wrong mode.
                    let panic = error.into_panic();
                    assert!(panic.is::<Planned>(), "{:?}", panic.downcast_ref::<String>());
                    panicked += 1;
                }
            }
            if Instant::now() < end {
                start(&mut tasks);
            }
        }
        assert!(modes_seen > finished && cancelled > 0 && panicked > 0);
    });
    finished + cancelled + panicked
}

/// The panic of a task that is meant to panic.
struct Planned;

/// A task that enters scopes in each of the ways that async code has, and checks its mode after each await. Returns how often.
async fn task(mut random: Random) -> u64 {
    let mode = random.of(&[GradMode::Enabled, GradMode::NoGrad, GradMode::Inference]);
    assert_enabled();
    let depth = random.within(1..5);
    let seen = nested(&mut random, mode, depth).with_grad_mode(mode).await;
    assert_enabled();
    seen
}

/// Checks that a worker is in no scope of another task's.
fn assert_enabled() {
    assert_eq!(grad_mode(), GradMode::Enabled, "the mode of another task");
}

/// Awaits in the mode `expected`, and `depth` scopes further in.
fn nested(random: &mut Random, expected: GradMode, depth: usize) -> Pin<Box<dyn Future<Output = u64> + Send + '_>> {
    Box::pin(async move {
        let mut seen = pause(random, expected).await;
        if depth > 0 {
            let depth = depth - 1;
            seen += match random.below(4) {
                0 => in_no_grad(random, expected, depth).await,
                1 => in_enable_grad(random, expected, depth).await,
                2 => in_inference_mode(random, expected, depth).await,
                _ => nested(random, expected, depth).in_current_grad_mode().await,
            };
            seen += pause(random, expected).await;
        }
        if random.once_in(20) {
            std::panic::resume_unwind(Box::new(Planned));
        }
        seen
    })
}

#[grad_runtime::attr::no_grad]
async fn in_no_grad(random: &mut Random, found: GradMode, depth: usize) -> u64 {
    nested(random, Scope::NoGrad.applied_to(found), depth).await
}

#[grad_runtime::attr::enable_grad]
async fn in_enable_grad(random: &mut Random, found: GradMode, depth: usize) -> u64 {
    nested(random, Scope::EnableGrad.applied_to(found), depth).await
}

#[grad_runtime::attr::inference_mode]
async fn in_inference_mode(random: &mut Random, found: GradMode, depth: usize) -> u64 {
    nested(random, Scope::InferenceMode(true).applied_to(found), depth).await
}

/// Awaits a few times, and checks the mode after each.
async fn pause(random: &mut Random, expected: GradMode) -> u64 {
    let awaits = random.within(1..4) as u64;
    for _ in 0..awaits {
        assert_eq!(grad_mode(), expected);
        if random.once_in(4) {
            sleep(Duration::from_micros(random.below(5000) as u64)).await;
        } else {
            yield_now().await;
        }
        assert_eq!(grad_mode(), expected, "after an await");
    }
    awaits
}
