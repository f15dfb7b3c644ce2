//! How many instructions a scope takes: exact, where nanoseconds are noise.
//!
//! `cargo bench -p grad-tests --bench instructions` runs itself under `valgrind --tool=callgrind`, twice for each case,
//! with a different number of rounds, and divides the difference. The loop around counts with it, in each case alike.

use std::cell::Cell;
use std::env;
use std::hint::black_box;
use std::process::Command;

use grad_runtime::attr::no_grad as no_grad_attribute;
use grad_runtime::{is_grad_enabled, no_grad};

thread_local!(static FLAG: Cell<bool> = const { Cell::new(true) });

/// What one writes without a library.
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

/// The cases, by name.
const CASES: [(&str, fn()); 5] = [
    ("an empty loop", || {}),
    ("a thread-local swapped and restored by hand", || {
        let _guard = ByHand(FLAG.replace(false));
        black_box(FLAG.get());
    }),
    ("no_grad!", || {
        no_grad!(black_box(is_grad_enabled()));
    }),
    ("a function with the guard by hand", || {
        with_the_guard_by_hand();
    }),
    ("the same function with #[no_grad]", || {
        annotated();
    }),
];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let [_, case, rounds] = &arguments[..]
        && let (Ok(case), Ok(rounds)) = (case.parse::<usize>(), rounds.parse::<u32>())
    {
        let (_, run) = CASES[case];
        for _ in 0..rounds {
            black_box(run)();
        }
        return;
    }
    for (case, (name, _)) in CASES.iter().enumerate() {
        let instructions = |rounds| count(case, rounds);
        println!("{:>5} instructions: {name}", (instructions(20_000) - instructions(10_000)) / 10_000);
    }
}

fn count(case: usize, rounds: u32) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("a running program has a file"))
        .args([case.to_string(), rounds.to_string()])
        .output()
        .expect("this benchmark needs valgrind");
    let report = String::from_utf8_lossy(&output.stderr);
    let line = report.lines().find(|line| line.contains("Collected :")).expect("callgrind reports a count");
    line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("the count is the last word")
}
