//! A program that says whether MLX is available to it, for the tests of loading: the first answer is a process's last.

use grad_runtime::{Mlx, Result, mlx, no_grad};

fn main() {
    match Mlx::available() {
        Ok(()) => println!("available, and the identity times 2 is {:?}", product()),
        Err(error) => {
            // The same error wherever MLX would be used, and scopes work all the same.
            assert_eq!(mlx::Array::scalar(1.0_f32).unwrap_err().to_string(), error.to_string());
            assert_eq!(mlx::default_device().unwrap_err().to_string(), error.to_string());
            assert!(!no_grad!(grad_runtime::is_grad_enabled()));
            println!("{error}");
        }
    }
}

fn product() -> Result<Vec<f32>> {
    let identity = mlx::Array::from_slice(&[1.0_f32, 0.0, 0.0, 1.0], &[2, 2])?;
    let two = mlx::Array::from_slice(&[2.0_f32; 4], &[2, 2])?;
    identity.matmul(&two)?.to_vec()
}
