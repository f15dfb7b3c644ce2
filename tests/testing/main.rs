//! `grad_runtime::testing`: what keeps the law passes, and what breaks it fails, each with a message that says how.

mod backends;
mod broken_backends;
mod engines;
