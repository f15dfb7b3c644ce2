//! Attributes on an `impl` block or a trait: each method is expanded as if the attribute were on it.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use super::function;
use crate::parse::item::{Member, MethodBlock, parse_members};
use crate::scope::{Scope, ScopeKind};
use crate::tokens::{error_and_item, in_braces};
use crate::validate;

/// Returns the block with `scope` on each method that takes its attribute.
pub fn expand(kind: ScopeKind, scope: &Scope, block: MethodBlock) -> TokenStream {
    let members = match parse_members(block.body.stream()) {
        Ok(members) => members,
        Err(error) => return error_and_item(&error, block),
    };
    let mut found = false;
    let mut expanded = TokenStream::new();
    for member in members {
        expanded.extend(match member {
            Member::Method(method) if validate::item::takes_block_attribute(&method) => {
                found = true;
                match validate::item::check_cfg_attr(kind, &method) {
                    Ok(()) => function::expand(scope, &method),
                    Err(error) => error_and_item(&error, method),
                }
            }
            Member::Method(method) => method.into_token_stream(),
            Member::Other(tokens) => tokens,
        });
    }
    if !found {
        return error_and_item(&validate::item::nothing_to_annotate(kind, &block), block);
    }
    let MethodBlock { attributes, head, body, .. } = block;
    let body = in_braces(body.span(), expanded);
    quote!(#(#attributes)* #head #body)
}
