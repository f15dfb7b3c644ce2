//! `grad_runtime::testing`: backends and engines that keep the guarantees pass, and each broken one fails with the message that
//! names its mistake.

mod broken_backends;
mod correct_backends;
mod engines;
