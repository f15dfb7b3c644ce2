//! What the guarantees must hold up to for hours, for a minute: `cargo bench -p grad-tests --bench load [-- tasks|threads|scopes|transforms]`.
//!
//! - tasks: 10,000 async tasks at a time on 4 workers, of mixed modes, with random cancellations and panics, for a minute
//! - threads: 100,000 threads, one after another
//! - scopes: a million scopes
//! - transforms: a million small transforms on each backend
//!
//! Each run panics where a mode is wrong, and ends with an error if the memory of the process grew.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use support::memory::resident_bytes;

mod load {
    pub mod scopes;
    pub mod tasks;
    pub mod threads;
    #[cfg(any(feature = "cpu", feature = "mlx"))]
    pub mod transforms;
}

/// What memory may grow by after a tenth of the work: pages of the allocator, not one thing kept for each of a million scopes.
const GROWTH: u64 = 4 << 20;

/// A load: `work()` does a tenth of it, and returns how many things it did.
struct Load {
    name: &'static str,
    unit: &'static str,
    work: fn() -> u64,
}

const LOADS: &[Load] = &[
    Load { name: "scopes", unit: "scopes", work: load::scopes::run },
    Load { name: "threads", unit: "threads", work: load::threads::run },
    #[cfg(feature = "cpu")]
    Load {
        name: "transforms",
        unit: "transforms on the CPU",
        work: load::transforms::run::<grad_runtime::cpu::Array>,
    },
    #[cfg(feature = "mlx")]
    Load { name: "transforms", unit: "transforms on MLX", work: load::transforms::run::<grad_runtime::mlx::Array> },
    Load { name: "tasks", unit: "tasks", work: load::tasks::run },
];

fn main() -> ExitCode {
    // Cargo passes `--bench`.
    let wanted: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut code = ExitCode::SUCCESS;
    for load in LOADS.iter().filter(|load| wanted.is_empty() || wanted.iter().any(|name| name == load.name)) {
        let Load { unit, work, .. } = load;
        let (mut done, start) = (work(), Instant::now());
        let before = resident_bytes();
        for _ in 1..10 {
            done += work();
        }
        let (took, after) = (start.elapsed() * 10 / 9, resident_bytes());
        let growth = after.saturating_sub(before);
        println!(
            "{done} {unit} in {}; memory after a tenth {:.1} MiB, at the end {:.1} MiB",
            seconds(took),
            mebibytes(before),
            mebibytes(after)
        );
        if growth > GROWTH {
            eprintln!("memory grew by {:.1} MiB", mebibytes(growth));
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "it is printed")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
