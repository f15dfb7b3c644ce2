//! Nothing leaks, whatever way a transform ends. `.ci/run` runs the program behind this under valgrind too.

use std::process::Command;

use grad_runtime::Dtype;
use grad_runtime::mlx::{self, Device};

#[test]
fn ten_thousand_steps_leave_the_memory_as_it_was() {
    let output = Command::new(env!("CARGO_BIN_EXE_mlx-soak")).arg("10000").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stdout.trim_end(), "10000 steps, 0 bytes more than before");
}

#[test]
fn figures_of_memory() {
    const BYTES: usize = 4 << 20;
    let before = mlx::active_memory().unwrap();
    let ones = mlx::Array::ones(&[1 << 20], Dtype::Float32).unwrap().negative().unwrap();
    ones.eval().unwrap();
    assert!(mlx::active_memory().unwrap() >= BYTES);
    assert!(mlx::peak_memory().unwrap() >= before.max(BYTES));
    drop(ones);
    mlx::reset_peak_memory().unwrap();
    assert!(mlx::peak_memory().unwrap() < BYTES, "the peak counts from the reset on");
}

/// A view may have more elements than there is memory for.
#[test]
fn elements_that_memory_cannot_hold() {
    let view = mlx::Array::ones(&[1, 1], Dtype::Float32).unwrap().broadcast_to(&[1 << 23, 1 << 23]).unwrap();
    let message = view.to_vec::<f32>().unwrap_err().to_string();
    assert!(
        message.starts_with("cannot to_vec float32[8388608, 8388608]: there is no memory for the elements"),
        "{message}"
    );
}

#[test]
fn the_cpu_is_always_there() {
    assert!(mlx::is_available(Device::Cpu).unwrap());
    mlx::set_default_device(Device::Cpu).unwrap();
    assert_eq!(mlx::default_device().unwrap(), Device::Cpu);
}

#[test]
fn a_device_that_is_not_there() {
    if mlx::is_available(Device::Gpu).unwrap() {
        mlx::set_default_device(Device::Gpu).unwrap();
        assert_eq!(mlx::default_device().unwrap(), Device::Gpu);
        mlx::set_default_device(Device::Cpu).unwrap();
    } else {
        let message = mlx::set_default_device(Device::Gpu).unwrap_err().to_string();
        assert!(message.starts_with("cannot use mlx: it has no gpu here ("), "{message}");
    }
}
