//! Validation: the checks on parsed input, and all error messages.

pub mod attribute;
pub mod block;
pub mod derive;
pub mod item;
