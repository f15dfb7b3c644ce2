//! Validation: every check on what the user wrote, and the error messages. No code is generated before it passes.

pub mod attribute;
pub mod block;
pub mod derive;
pub mod item;
