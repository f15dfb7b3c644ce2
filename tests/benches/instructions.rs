//! How many instructions a scope takes: exact, where nanoseconds are noise.
//!
//! `cargo bench -p grad-tests --bench instructions` runs itself under `valgrind --tool=callgrind`, twice for each case,
//! with a different number of rounds, and divides the difference. The loop around counts with it, in each case alike.

use std::cell::Cell;
use std::env;
use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use grad_runtime::attr::no_grad as no_grad_attribute;
use grad_runtime::{is_grad_enabled, no_grad};

#[allow(dead_code, reason = "another benchmark uses the rest")]
mod callgrind;

thread_local!(static FLAG: Cell<bool> = const { Cell::new(true) });

/// The same without a library.
struct ByHand(bool);

impl Drop for ByHand {
    fn drop(&mut self) {
        FLAG.set(self.0);
    }
}

#[no_grad_attribute]
#[inline(never)]
fn annotated() -> bool {
    black_box(is_grad_enabled())
}

#[inline(never)]
fn with_the_guard_by_hand() -> bool {
    let _guard = no_grad();
    black_box(is_grad_enabled())
}

/// A future that is never done, and looks at the mode each time it is polled.
async fn looks() {
    poll_fn(|_| {
        black_box(is_grad_enabled());
        Poll::<()>::Pending
    })
    .await;
}

/// As an annotated `async fn` is one future around another.
async fn looks_inside() {
    looks().await;
}

#[no_grad_attribute]
async fn annotated_looks() {
    poll_fn(|_| {
        black_box(is_grad_enabled());
        Poll::<()>::Pending
    })
    .await;
}

#[inline(never)]
fn poll(future: Pin<&mut impl Future<Output = ()>>) {
    let _ = black_box(future.poll(&mut Context::from_waker(Waker::noop())));
}

#[inline(never)]
fn poll_with_the_guard_by_hand(future: Pin<&mut impl Future<Output = ()>>) {
    let _guard = no_grad();
    let _ = black_box(future.poll(&mut Context::from_waker(Waker::noop())));
}

/// Runs so many rounds.
type Case = fn(u32);

/// A case's name, and the most instructions that it may take on x86-64, those of the loop included; above that, the bench fails. It
/// also keeps the places of scopes from costing anything where they are not recorded (guarantee 14).
const MOST: [(&str, u64); 6] = [
    ("no_grad!", 28),
    ("a function with the guard by hand", 29),
    ("the same function with #[no_grad]", 29),
    ("the same with the guard by hand around the poll", 41),
    ("the same wrapped in a scope", 44),
    ("a poll of an async fn with #[no_grad]", 52),
];

/// What the look for libtorch costs where it may come: one word is read through two pointers.
const PROBE: u64 = if cfg!(feature = "torch") { 4 } else { 0 };

const CASES: [(&str, Case); 10] = [
    ("an empty loop", |rounds| repeat(rounds, || {})),
    ("a thread-local swapped and restored by hand", |rounds| {
        repeat(rounds, || {
            let _guard = ByHand(FLAG.replace(false));
            black_box(FLAG.get());
        });
    }),
    ("no_grad!", |rounds| {
        repeat(rounds, || {
            no_grad!(black_box(is_grad_enabled()));
        });
    }),
    ("a function with the guard by hand", |rounds| {
        repeat(rounds, || {
            with_the_guard_by_hand();
        });
    }),
    ("the same function with #[no_grad]", |rounds| {
        repeat(rounds, || {
            annotated();
        });
    }),
    ("a poll of a future", |rounds| {
        let mut future = pin!(looks());
        (0..rounds).for_each(|_| poll(future.as_mut()));
    }),
    ("the same with the guard by hand around the poll", |rounds| {
        let mut future = pin!(looks());
        (0..rounds).for_each(|_| poll_with_the_guard_by_hand(future.as_mut()));
    }),
    ("the same wrapped in a scope", |rounds| {
        let mut future = pin!(grad_runtime::__private::scoped(no_grad, looks()));
        (0..rounds).for_each(|_| poll(future.as_mut()));
    }),
    ("a poll of an async fn around it, with the guard by hand around the poll", |rounds| {
        let mut future = pin!(looks_inside());
        (0..rounds).for_each(|_| poll_with_the_guard_by_hand(future.as_mut()));
    }),
    ("a poll of an async fn with #[no_grad]", |rounds| {
        let mut future = pin!(annotated_looks());
        (0..rounds).for_each(|_| poll(future.as_mut()));
    }),
];

fn repeat(rounds: u32, run: fn()) {
    for _ in 0..rounds {
        black_box(run)();
    }
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let [_, case, rounds] = &arguments[..]
        && let (Ok(case), Ok(rounds)) = (case.parse::<usize>(), rounds.parse::<u32>())
    {
        let (_, run) = CASES[case];
        run(rounds);
        return;
    }
    for (case, (name, _)) in CASES.iter().enumerate() {
        let found = (count(case, 20_000) - count(case, 10_000)) / 10_000;
        println!("{found:>5} instructions: {name}");
        let most = MOST.iter().find(|(limited, _)| limited == name).map_or(u64::MAX, |(_, most)| most + PROBE);
        assert!(!cfg!(target_arch = "x86_64") || found <= most, "{name} may take {most} instructions at most");
    }
}

fn count(case: usize, rounds: u32) -> u64 {
    let this = env::current_exe().expect("a running program has a file");
    callgrind::instructions(&this, [case.to_string(), rounds.to_string()])
}
