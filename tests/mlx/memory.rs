//! Nothing leaks, whatever way a transform ends. `.ci/run` runs the program behind this under valgrind too.

use std::process::Command;

use grad_runtime::mlx::{self, Device};

#[test]
fn ten_thousand_steps_leave_the_memory_as_it_was() {
    let output = Command::new(env!("CARGO_BIN_EXE_mlx-soak")).arg("10000").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout.trim_end(), "10000 steps, 0 bytes more than before");
}

#[test]
fn the_cpu_is_always_there() {
    assert_eq!(mlx::is_available(Device::Cpu), Ok(true));
    mlx::set_default_device(Device::Cpu).unwrap();
    assert_eq!(mlx::default_device(), Ok(Device::Cpu));
}

#[test]
fn a_device_that_is_not_there() {
    if mlx::is_available(Device::Gpu).unwrap() {
        mlx::set_default_device(Device::Gpu).unwrap();
        assert_eq!(mlx::default_device(), Ok(Device::Gpu));
        mlx::set_default_device(Device::Cpu).unwrap();
    } else {
        let message = mlx::set_default_device(Device::Gpu).unwrap_err().to_string();
        assert!(message.starts_with("mlx is not available: it has no gpu here ("), "{message}");
    }
}
