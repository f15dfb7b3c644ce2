//! Attributes on an `impl` block or a trait: each method is expanded as if the attribute were on it.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use super::function;
use crate::parse::item::{Member, MethodBlock, parse_members};
use crate::scope::ScopeAttribute;
use crate::tokens::{error_and_item, in_braces};
use crate::validate;

/// Returns the block with `attribute` on each method that takes it.
pub fn expand(attribute: &ScopeAttribute, block: MethodBlock) -> TokenStream {
    let members = match parse_members(block.body.stream()) {
        Ok(members) => members,
        Err(error) => return error_and_item(&error, block),
    };
    let methods = members.iter().filter_map(|member| match member {
        Member::Method(method) if validate::item::takes_block_attribute(method) => Some(&**method),
        _ => None,
    });
    if let Err(error) = validate::item::check_methods(attribute, &block, &methods.collect::<Vec<_>>()) {
        return error_and_item(&error, block);
    }
    let mut expanded = TokenStream::new();
    for member in members {
        expanded.extend(match member {
            Member::Method(method) if validate::item::takes_block_attribute(&method) => {
                match validate::item::check_method(attribute, &method) {
                    Ok(()) => function::expand(attribute, *method),
                    Err(error) => error_and_item(&error, method),
                }
            }
            Member::Method(method) => method.into_token_stream(),
            Member::Other(tokens) => tokens,
        });
    }
    let MethodBlock { attributes, head, body, .. } = block;
    let body = in_braces(body.span(), expanded);
    quote!(#(#attributes)* #head #body)
}
