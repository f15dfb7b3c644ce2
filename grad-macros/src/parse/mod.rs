//! Parsing: reads the user's tokens into data. Except for syntax errors, it leaves the checks to validation.

pub mod attribute;
pub mod bindings;
pub mod block;
pub mod deferred_tail;
pub mod deferred_type;
pub mod early_exit;
pub mod item;
pub mod signature;
pub mod suspension;
