//! Pages to read: no code is in here.

pub mod what_a_scope_covers;
