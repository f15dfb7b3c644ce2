//! Validation: the checks on parsed input, and their error messages. They pass before any code is generated.

pub mod attribute;
pub mod block;
pub mod derive;
pub mod item;
