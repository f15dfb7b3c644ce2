//! Laws 3, 4 and 5 on every backend with arrays: each program is written once, over the `Array` trait, and runs as a
//! test of its own on MLX and on the CPU fallback. `operations` lists every operation; `programs` tells stories.
//!
//! With feature `mlx` these tests fail where MLX cannot be loaded. They never skip.
#![cfg(any(feature = "cpu", feature = "mlx"))]
#![allow(clippy::float_cmp, reason = "small whole numbers, which are exact")]

mod one_backend;
mod operations;
mod operators;
mod params;
mod programs;
mod refusals;
mod safetensors;

/// Makes a test of each generic function, for each backend.
#[macro_export]
macro_rules! on_every_backend {
    ($($(#[doc = $doc:literal])* fn $name:ident<$array:ident>() $body:block)*) => {
        $($(#[doc = $doc])* fn $name<$array: grad_runtime::Array>() $body)*

        #[cfg(feature = "cpu")]
        mod on_cpu {
            $(#[test]
            fn $name() {
                super::$name::<grad_runtime::cpu::Array>();
            })*
        }

        #[cfg(feature = "mlx")]
        mod on_mlx {
            $(#[test]
            fn $name() {
                super::$name::<grad_runtime::mlx::Array>();
            })*
        }
    };
}

/// An array of float32 from its elements.
fn array<A: grad_runtime::Array>(elements: &[f32], shape: &[usize]) -> A {
    A::from_slice(elements, shape).unwrap()
}

fn elements<A: grad_runtime::Array>(array: &A) -> Vec<f32> {
    array.astype(grad_runtime::Dtype::Float32).unwrap().to_vec().unwrap()
}

/// Elementwise, to a tolerance relative to the larger magnitude.
#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let scale = found.abs().max(expected.abs()).max(1.0);
        assert!(
            (found - expected).abs() <= tolerance * scale,
            "element {at}: found {found}, expected {expected}, tolerance {tolerance}"
        );
    }
}
