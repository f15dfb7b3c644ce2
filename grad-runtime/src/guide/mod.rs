//! Guides: documentation pages without code.

#[cfg(feature = "mlx")]
pub mod computing_with_mlx;
pub mod guarantees;
#[cfg(feature = "mlx")]
pub mod more_than_one_machine;
pub mod moving_in;
#[cfg(feature = "mlx")]
pub mod operations_of_mlx;
pub mod plugging_in;
#[cfg(all(feature = "safetensors", any(feature = "cpu", feature = "mlx")))]
pub mod training;
pub mod what_a_scope_covers;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod why_is_my_gradient_zero;
