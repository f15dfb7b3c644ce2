//! Pages to read: no code is in here.

pub mod moving_in;
pub mod plugging_in;
pub mod what_a_scope_covers;
