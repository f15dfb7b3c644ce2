//! Expansion: the generated code. It calls `grad_runtime` by its full path, and its errors point to the user's tokens.

pub mod async_function;
pub mod attribute;
pub mod block;
pub mod carry;
pub mod deferred;
pub mod deferred_tail;
pub mod detach;
pub mod detach_args;
pub mod expected_type;
pub mod function;
pub mod methods;
pub mod scope;
