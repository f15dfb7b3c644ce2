//! `grad_runtime::testing`: correct backends and engines pass, and broken ones fail with a message that says how.

mod backends;
mod broken_backends;
mod engines;
