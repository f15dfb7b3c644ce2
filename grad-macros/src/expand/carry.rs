//! `carry!`: closures and async blocks that run in the grad modes of the place where they were written.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::quote_spanned;

use super::deferred_tail;
use super::scope::Reentry;
use crate::parse;
use crate::validate;

/// Expands `[$crate] work`.
pub fn expand(input: TokenStream) -> TokenStream {
    let mut tokens = input.into_iter();
    let root = match tokens.next() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => group.stream(),
        _ => return validate::block::called_directly("carry", "`grad_runtime::carry!`").into_compile_error(),
    };
    let work: TokenStream = tokens.collect();
    let Some(tail) = parse::deferred_tail::parse(&work) else {
        return validate::block::nothing_to_carry(work).into_compile_error();
    };
    let span = Span::mixed_site();
    let modes = Ident::new("modes", span);
    let enter = quote_spanned!(span=> #modes.enter());
    let reentry = Reentry { root: &root, enter: &enter, detach: None };
    let body = deferred_tail::wrap(tail, &reentry, Some(&modes));
    quote_spanned! {span=> {
        let #modes = #root::ModeSnapshot::current().as_static();
        #body
    }}
}
