//! Helpers that several test targets share.

#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod arrays;
pub mod backends;
#[cfg(any(feature = "cpu", feature = "mlx"))]
pub mod gradients;
pub mod markers;
pub mod polling;
pub mod processes;
pub mod random;
