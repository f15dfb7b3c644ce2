//! Indices that MLX would read unchecked.

use grad_runtime::mlx;

/// To look at indices that are not computed yet would be to compute them, so they are clamped, as in JAX.
#[test]
fn indices_that_are_not_computed_yet_are_clamped() {
    let x = mlx::Array::from_slice(&[10.0_f32, 20.0, 30.0], &[3]).unwrap();
    let later = |indices: mlx::Array| indices.reshape(&[1]).unwrap();
    let taken = |indices| x.take(&later(indices), 0).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(
        taken(mlx::Array::scalar(1_u32).unwrap().maximum(&mlx::Array::scalar(2_u32).unwrap()).unwrap()),
        [30.0]
    );
    assert_eq!(taken(mlx::Array::scalar(u32::MAX).unwrap()), [30.0]);
    assert_eq!(taken(mlx::Array::scalar(i32::MAX).unwrap()), [30.0]);
    assert_eq!(taken(mlx::Array::scalar(-5_i32).unwrap()), [10.0]);
}
