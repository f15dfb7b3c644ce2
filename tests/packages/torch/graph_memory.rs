//! What a missing scope costs: libtorch keeps the inputs of every recorded operation alive.

use grad_runtime::no_grad;
use tch::{Device, Kind, Tensor};

const BYTES: usize = 1 << 20;
const ROUNDS: usize = 200;

/// This process's resident memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// So many sines of sines of a weight of one MiB; answers how much memory the process has gained while the last is alive.
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

/// One test: memory is the whole process's.
#[test]
fn a_long_loop_holds_its_memory_without_a_scope_and_frees_it_in_one() {
    gained(); // libtorch's threads, tables and allocator keep some.
    let with = no_grad!(gained());
    let without = gained();
    println!("{ROUNDS} rounds over {BYTES} bytes: {with} bytes more in a scope, {without} bytes more without");
    assert!(with < ROUNDS / 10 * BYTES, "{with} bytes in a scope");
    assert!(without > ROUNDS / 10 * 9 * BYTES, "{without} bytes without");
}
