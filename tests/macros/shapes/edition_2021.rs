//! Every shape of function in edition 2021, with each way to import.

#[macro_use]
extern crate grad_runtime;

mod attributes;
mod bodies;
mod common;
mod made_by_macros;
mod patterns;
mod receivers;
mod signatures;

/// `use grad_runtime::attr::no_grad;` and `grad_runtime::no_grad! { … }`.
mod attribute_by_name {
    include!(concat!(env!("OUT_DIR"), "/attribute_by_name/attributes.rs"));
    include!(concat!(env!("OUT_DIR"), "/attribute_by_name/bodies.rs"));
    include!(concat!(env!("OUT_DIR"), "/attribute_by_name/made_by_macros.rs"));
    include!(concat!(env!("OUT_DIR"), "/attribute_by_name/patterns.rs"));
    include!(concat!(env!("OUT_DIR"), "/attribute_by_name/receivers.rs"));
    include!(concat!(env!("OUT_DIR"), "/attribute_by_name/signatures.rs"));
}

/// `use grad_runtime::no_grad;` and `#[grad_runtime::attr::no_grad]`.
mod block_by_name {
    include!(concat!(env!("OUT_DIR"), "/block_by_name/attributes.rs"));
    include!(concat!(env!("OUT_DIR"), "/block_by_name/bodies.rs"));
    include!(concat!(env!("OUT_DIR"), "/block_by_name/made_by_macros.rs"));
    include!(concat!(env!("OUT_DIR"), "/block_by_name/patterns.rs"));
    include!(concat!(env!("OUT_DIR"), "/block_by_name/receivers.rs"));
    include!(concat!(env!("OUT_DIR"), "/block_by_name/signatures.rs"));
}
