//! Compares entering and leaving a scope with tch's own guards, which turn the same switch.
//!
//! `cargo bench --bench scopes` prints the times of interleaved rounds. With `-- instructions` it runs itself under
//! `valgrind --tool=callgrind` and counts instructions, which no load on the machine changes; a scope that takes more than
//! `MOST` of a guard of tch's is an error then.

use std::hint::black_box;
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
        CASES.iter().for_each(|(_, run)| run(COUNTED));
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
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("scopes");
    fs::remove_dir_all(&folder)
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    fs::create_dir_all(&folder)?;
    // One process for all cases: libtorch takes a minute to start under valgrind. Each function's part is a file of its own.
    let functions = ["empty", "ours", "guard_of_tch", "closure_of_tch"];
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", folder.join("part").display()));
    for function in functions {
        valgrind
            .arg(format!("--toggle-collect=scopes::{function}"))
            .arg(format!("--dump-after=scopes::{function}"));
    }
    let status = valgrind.arg(env::current_exe()?).arg("counted").status()?;
    assert!(status.success(), "valgrind: {status}");
    let mut counts = vec![];
    for (part, (name, _)) in (1..).zip(CASES) {
        let report = fs::read_to_string(folder.join(format!("part.{part}")))?;
        let line = report
            .lines()
            .find_map(|line| line.strip_prefix("totals: "))
            .ok_or_else(|| io::Error::other("callgrind wrote no totals"))?;
        let count: u32 = line.trim().parse().map_err(io::Error::other)?;
        counts.push(f64::from(count) / f64::from(COUNTED));
        println!("{:>6.1} instructions: {name}", counts[counts.len() - 1]);
    }
    for other in 2..CASES.len() {
        let ratio = (counts[1] - counts[0]) / (counts[other] - counts[0]);
        println!("{ratio:>6.2} of {}", CASES[other].0);
        assert!(ratio <= MOST, "a scope takes at most {MOST} of {}", CASES[other].0);
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
