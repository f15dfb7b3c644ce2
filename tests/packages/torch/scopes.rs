//! Compares entering and leaving a scope with tch's own guards, which turn the same switch.
//!
//! `cargo bench --bench scopes` prints the times of interleaved rounds. With `-- instructions` it runs itself under
//! `valgrind --tool=callgrind` and counts instructions, which no load on the machine changes; a scope that takes more than
//! `MOST` of a guard of tch's is an error then.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use grad_runtime::{Torch, no_grad};
use tch::no_grad_guard;

/// The most that a scope may take of what tch's guard takes.
const MOST: f64 = 0.7;

type Case = (&'static str, fn(u32));

const CASES: [Case; 4] = [
    ("an empty loop", empty),
    ("no_grad", ours),
    ("tch::no_grad_guard", guard_of_tch),
    ("tch::no_grad", closure_of_tch),
];

#[inline(never)]
fn empty(rounds: u32) {
    for round in 0..rounds {
        black_box(round);
    }
}

#[inline(never)]
fn ours(rounds: u32) {
    for round in 0..rounds {
        let _guard = no_grad();
        black_box(round);
    }
}

#[inline(never)]
fn guard_of_tch(rounds: u32) {
    for round in 0..rounds {
        let _guard = no_grad_guard();
        black_box(round);
    }
}

#[inline(never)]
fn closure_of_tch(rounds: u32) {
    for round in 0..rounds {
        tch::no_grad(|| black_box(round));
    }
}

fn main() -> io::Result<()> {
    drop(no_grad()); // Finds libtorch.
    assert_eq!(Torch::check_available(), Ok(()), "libtorch is linked");
    let arguments: Vec<String> = env::args().collect();
    if arguments.iter().any(|argument| argument == "counted") {
        for (_, run) in CASES {
            run(COUNTED);
        }
        return Ok(());
    }
    if arguments.iter().any(|argument| argument == "instructions") {
        return instructions();
    }
    times();
    Ok(())
}

/// The rounds of each case in which instructions are counted.
const COUNTED: u32 = 1000;

fn instructions() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scopes");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    // One process for all cases, because libtorch takes minutes to start under valgrind. Before and after each function, callgrind
    // writes what it has counted since the last time.
    let functions = ["empty", "ours", "guard_of_tch", "closure_of_tch"];
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind"]);
    valgrind.arg(format!("--callgrind-out-file={}", folder.join("part").display()));
    for function in functions {
        valgrind.args(["before", "after"].map(|when| format!("--dump-{when}=scopes::{function}")));
    }
    let status = valgrind.arg(env::current_exe()?).arg("counted").status()?;
    assert!(status.success(), "valgrind: {status}");

    let parts =
        fs::read_dir(&folder)?.map(|part| fs::read_to_string(part?.path())).collect::<io::Result<Vec<_>>>()?;
    let counts = functions.map(|function| {
        let trigger = format!("desc: Trigger: --dump-after=scopes::{function}\n");
        let part =
            parts.iter().find(|part| part.contains(&trigger)).expect("callgrind wrote a part for each function");
        let total = part.lines().find_map(|line| line.strip_prefix("totals: ")).expect("each part has a total");
        f64::from(total.trim().parse::<u32>().expect("a total is a number")) / f64::from(COUNTED)
    });
    for ((name, _), count) in CASES.iter().zip(counts) {
        println!("{count:>6.1} instructions: {name}");
    }
    let [empty, ours, tch @ ..] = counts;
    for ((name, _), tch) in CASES[2..].iter().zip(tch) {
        let ratio = (ours - empty) / (tch - empty);
        println!("{ratio:>6.2} of {name}");
        assert!(ratio <= MOST, "a scope may take {MOST} of {name} at most");
    }
    Ok(())
}

fn times() {
    const ROUNDS: u32 = 1000;
    let mut all = [const { vec![] }; CASES.len()];
    for _ in 0..1001 {
        for ((_, run), times) in CASES.iter().zip(&mut all) {
            let start = Instant::now();
            run(ROUNDS);
            times.push(start.elapsed());
        }
    }
    let medians = all.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let each = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(ROUNDS);
    for ((name, _), time) in CASES.iter().zip(medians) {
        println!("{:>6.1} ns: {name}", each(time) - each(medians[0]));
    }
}
