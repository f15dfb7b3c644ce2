//! The memory that a scope saves: libtorch keeps the inputs of every recorded operation alive.

use grad_runtime::no_grad;
use tch::{Device, Kind, Tensor};

const BYTES: usize = 1 << 20;
const ROUNDS: usize = 200;

/// Returns the resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// Applies `ROUNDS` sines to a weight of 1 MiB, and returns by how much the memory of the process has grown.
fn gained() -> usize {
    let weight =
        Tensor::ones(&[i64::try_from(BYTES / 4).unwrap()], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let before = resident();
    let mut last = weight.sin();
    for _ in 1..ROUNDS {
        last = last.sin();
    }
    let gained = resident().saturating_sub(before);
    drop(last);
    gained
}

/// One test, since memory is measured for the whole process.
#[test]
fn guarantee_4_memory_grows_without_a_scope_only() {
    gained(); // The first run also starts threads and fills caches of libtorch.
    let with = no_grad!(gained());
    let without = gained();
    println!("{ROUNDS} rounds over {BYTES} bytes: {with} bytes more in a scope, {without} bytes more without");
    assert!(with < ROUNDS / 10 * BYTES, "{with} bytes in a scope");
    assert!(without > ROUNDS / 10 * 9 * BYTES, "{without} bytes without");
}
