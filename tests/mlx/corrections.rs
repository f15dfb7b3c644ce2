//! Results that MLX gets wrong, and the binding right.
#![allow(clippy::float_cmp, reason = "small whole numbers are exact")]

use grad_runtime::mlx::{self, Array, ScanBound, ScanDirection, linalg};
use grad_runtime::{Dtype, Error};

/// MLX accumulates scans and norms of half precision in half precision.
#[test]
fn scans_and_norms_of_half_precision() {
    for dtype in [Dtype::Float16, Dtype::BFloat16] {
        let ones = Array::ones(&[4096], dtype).unwrap();
        let sums = ones.cumsum(0, ScanDirection::Forward, ScanBound::Inclusive).unwrap();
        let last = sums.slice(&[4095], &[4096]).unwrap().astype(Dtype::Float32).unwrap();
        assert_eq!(last.item::<f32>().unwrap(), 4096.0, "{dtype}");
        let norm = linalg::norm(&ones, &[0], false).unwrap().astype(Dtype::Float32).unwrap();
        assert_eq!(norm.item::<f32>().unwrap(), 64.0, "{dtype}");
        let variance = ones.var(&[0], false, 0).unwrap().astype(Dtype::Float32).unwrap();
        assert_eq!(variance.item::<f32>().unwrap(), 0.0, "{dtype}");
    }
}

/// MLX's jvp of `addmm` ignores `alpha` and `beta`.
#[test]
fn forward_mode_of_addmm() {
    let (alpha, beta) = (2.0, 3.0);
    let matrix = |elements: &[f32], shape: &[usize]| Array::from_slice(elements, shape).unwrap();
    let primals = [matrix(&[1.0], &[1, 1]), matrix(&[3.0, -1.0], &[1, 2]), matrix(&[0.5, 4.0], &[2, 1])];
    let addmm = |x: &[Array]| Ok::<_, Error>(vec![x[0].addmm(&x[1], &x[2], alpha, beta)?]);
    let tangents = primals.clone().map(|x| x.sin().unwrap());
    let (_, forward) = mlx::jvp(addmm, &primals, &tangents).unwrap();
    let cotangent = forward[0].cos().unwrap();
    let (_, backward) = mlx::vjp(addmm, &primals, std::slice::from_ref(&cotangent)).unwrap();
    let product = |x: &Array, y: &Array| x.multiply(y).unwrap().sum_all().unwrap().item::<f32>().unwrap();
    let by_forward = product(&cotangent, &forward[0]);
    let by_backward: f32 = backward.iter().zip(&tangents).map(|(x, y)| product(x, y)).sum();
    assert!((by_forward - by_backward).abs() < 1e-3, "{by_forward} and {by_backward}");
    let expected = product(&cotangent, &{
        let [dc, da, db] = &tangents;
        let moved = da.matmul(&primals[2]).unwrap().add(&primals[1].matmul(db).unwrap()).unwrap();
        let scale = |x: &Array, by: f32| x.multiply(&Array::scalar(by).unwrap()).unwrap();
        scale(dc, beta).add(&scale(&moved, alpha)).unwrap()
    });
    assert!((by_forward - expected).abs() < 1e-3, "{by_forward} and {expected}");
}
