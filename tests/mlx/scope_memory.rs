//! The memory of a scope inside a transform.

use std::process::Command;

use support::processes::run;

#[test]
fn guarantee_4_memory_does_not_grow_with_the_operations_in_a_scope() {
    let output = run(&mut Command::new(env!("CARGO_BIN_EXE_mlx-memory")));
    let peaks: Vec<(&str, usize)> = output
        .lines()
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, bytes)| (name, bytes.parse().unwrap()))
        .collect();
    assert_eq!(peaks.len(), 4, "{output}");
    for (name, bytes) in peaks {
        // The 200 results alone would be 200 MiB.
        assert!(bytes < 16 << 20, "{name}: {bytes} bytes");
    }
}
