//! Processes that compute together, over MLX's ring on this machine.

mod collectives;
