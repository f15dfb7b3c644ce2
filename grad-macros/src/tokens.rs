//! Small helpers for tokens.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::Error;

/// Returns whether `token` is the punctuation character `expected`.
pub fn is_punct(token: &TokenTree, expected: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == expected)
}

/// Returns `tokens` in braces that have the given span.
pub fn in_braces(span: Span, tokens: TokenStream) -> Group {
    let mut group = Group::new(Delimiter::Brace, tokens);
    group.set_span(span);
    group
}

/// Returns the path of `grad_runtime` where no other is given.
pub fn default_root() -> TokenStream {
    quote_spanned!(Span::mixed_site()=> ::grad_runtime)
}

/// Returns the error, followed by the item that it is about.
///
/// The item stays in the program, so one mistake gives one error: its other uses are not reported as unknown names.
pub fn error_and_item(error: &Error, item: impl ToTokens) -> TokenStream {
    let mut tokens = error.to_compile_error();
    item.to_tokens(&mut tokens);
    tokens
}
