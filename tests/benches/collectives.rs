//! The time of an `all_sum` on a ring of this machine, with the check of collectives and without: `cargo bench -p grad-tests --bench
//! collectives`. The two alternate, so that what else the machine does is in both. More processes than cores would measure the
//! scheduler, since the threads of MLX's ring do not sleep while they wait.

use std::process::{Command, Stdio};

use support::rings::{free_addresses, hosts_file};

const ROUNDS: usize = 7;
const COLLECTIVES: usize = 2000;

fn main() {
    let mut times: [Vec<f64>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (check, times) in times.iter_mut().enumerate() {
            times.push(median_of_a_run(check));
        }
    }
    let [off, on] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    });
    println!("all_sum of one number, two processes: {off:.1} µs without the check, {on:.1} µs with it");
}

/// Returns the median time in microseconds.
fn median_of_a_run(check: usize) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts.json");
    std::fs::write(&hosts, hosts_file(&free_addresses(2))).unwrap();
    let start = |rank: usize| {
        Command::new(env!("CARGO_BIN_EXE_mlx-collectives"))
            .args(["latency", &COLLECTIVES.to_string()])
            .env("MLX_RANK", rank.to_string())
            .env("MLX_HOSTFILE", &hosts)
            .env("GRAD_DISTRIBUTED_CHECK", check.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let processes: Vec<_> = (0..2).map(start).collect();
    let outputs: Vec<_> = processes.into_iter().map(|process| process.wait_with_output().unwrap()).collect();
    assert!(outputs.iter().all(|output| output.status.success()));
    String::from_utf8_lossy(&outputs[0].stdout).trim().parse().unwrap()
}
