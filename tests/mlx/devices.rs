//! Devices, and the statistics of MLX's memory.

use grad_runtime::Dtype;
use grad_runtime::mlx::{self, Device};

#[test]
fn active_and_peak_memory() {
    const BYTES: usize = 4 << 20;
    let before = mlx::active_memory().unwrap();
    let ones = mlx::Array::ones(&[1 << 20], Dtype::Float32).unwrap().negative().unwrap();
    ones.eval().unwrap();
    assert!(mlx::active_memory().unwrap() >= BYTES);
    assert!(mlx::peak_memory().unwrap() >= before.max(BYTES));
    drop(ones);
    mlx::reset_peak_memory().unwrap();
    assert!(mlx::peak_memory().unwrap() < BYTES, "the peak since the reset");
}

/// A broadcast view may have more elements than memory can hold.
#[test]
fn more_elements_than_memory_can_hold() {
    let view = mlx::Array::ones(&[1, 1], Dtype::Float32).unwrap().broadcast_to(&[1 << 23, 1 << 23]).unwrap();
    let message = view.to_vec::<f32>().unwrap_err().to_string();
    assert!(
        message.starts_with("cannot to_vec float32[8388608, 8388608]: there is no memory for the elements"),
        "{message}"
    );
}

#[test]
fn the_cpu_is_always_available() {
    assert!(Device::Cpu.is_available().unwrap());
    mlx::set_default_device(Device::Cpu).unwrap();
    assert_eq!(mlx::default_device().unwrap(), Device::Cpu);
}

#[test]
fn the_gpu_is_available_or_refused() {
    if Device::Gpu.is_available().unwrap() {
        mlx::set_default_device(Device::Gpu).unwrap();
        assert_eq!(mlx::default_device().unwrap(), Device::Gpu);
        mlx::set_default_device(Device::Cpu).unwrap();
    } else {
        let message = mlx::set_default_device(Device::Gpu).unwrap_err().to_string();
        assert_eq!(message, "cannot use mlx: this MLX has no gpu; ask `Device::is_available` first");
    }
}
