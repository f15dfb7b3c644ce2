//! Helpers that several test targets share.

#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod arrays;
pub mod backends;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod derivatives;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod gradients;
#[cfg(feature = "mlx")]
pub mod mapped;
pub mod markers;
pub mod polling;
pub mod processes;
pub mod random;
