//! Attributes: `#[no_grad]` and its siblings.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Error, Expr, Result};

use super::{function, methods};
use crate::parse::item::{self, Item};
use crate::scope::{ScopeAttribute, ScopeKind};
use crate::tokens::error_and_item;
use crate::validate;

/// Expands the attribute `kind`.
///
/// After a mistake, the result is the error and the item as it was written, so that the rest of the program still finds
/// the item.
pub fn expand(kind: ScopeKind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    match parse(kind, arguments, item.clone()) {
        Ok((attribute, _)) if attribute.skip => item,
        Ok((attribute, Item::Function(mut function))) => {
            let conflict = validate::item::take_conflict(&attribute.scope, &mut function.attributes);
            match conflict.map_or_else(|| validate::item::check_function(&attribute, &function), Err) {
                Ok(()) => function::expand(&attribute, *function),
                Err(error) => error_and_item(&error, function),
            }
        }
        Ok((attribute, Item::Methods(mut block))) => {
            match validate::item::take_conflict(&attribute.scope, &mut block.attributes) {
                None => methods::expand(&attribute, block),
                Some(error) => error_and_item(&error, block),
            }
        }
        Ok((_, Item::Other(other, span))) => refuse(&validate::item::not_a_function(kind, &other, span), item),
        Err(error) => refuse(&error, item),
    }
}

fn parse(kind: ScopeKind, arguments: TokenStream, item: TokenStream) -> Result<(ScopeAttribute, Item)> {
    Ok((validate::attribute::attribute(kind, arguments)?, item::parse(item)?))
}

/// Returns the error and the item. An error beside an expression would be a syntax error, so it takes its place.
fn refuse(error: &Error, item: TokenStream) -> TokenStream {
    if syn::parse2::<Expr>(item.clone()).is_ok() {
        return error.to_compile_error();
    }
    error_and_item(error, item.into_token_stream())
}
