//! Parsing: what the user wrote, as data. It accepts whatever has a meaning; validation comes later.

pub mod attribute;
pub mod bindings;
pub mod block;
pub mod deferred_tail;
pub mod deferred_type;
pub mod early_exit;
pub mod item;
pub mod suspension;
