//! A program that says whether MLX is available to it, for the tests of loading: the first answer is a process's last.

use grad_runtime::{Array, Mlx, mlx, no_grad};

fn main() {
    match Mlx::available() {
        Ok(()) => {
            let x = mlx::Array::from_slice(&[3.0_f32], &[1]).and_then(|x| x.square()).and_then(|x| x.item::<f32>());
            println!("available, and 3² is {x:?}");
        }
        Err(error) => {
            // The same error wherever MLX would be used, and scopes work all the same.
            assert_eq!(mlx::Array::scalar(1.0_f32).map(|_| ()), Err(error.clone()));
            assert_eq!(mlx::default_device().map(|_| ()), Err(error.clone()));
            assert!(!no_grad!(grad_runtime::is_grad_enabled()));
            println!("{error}");
        }
    }
}
