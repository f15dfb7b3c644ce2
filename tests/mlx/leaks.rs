//! Memory stays constant over many steps, however a transform ends. `.ci/run` runs the same program under valgrind.

use std::process::Command;

use support::processes::run;

#[test]
fn ten_thousand_steps_leave_the_memory_as_it_was() {
    let stdout = run(Command::new(env!("CARGO_BIN_EXE_mlx-soak")).arg("10000"));
    assert_eq!(stdout, "10000 steps, 0 bytes more than before");
}
