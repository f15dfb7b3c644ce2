//! Spans: where errors in generated code point.
//!
//! A span has a position, which errors show, and a hygiene, by which names resolve. Generated names have mixed-site
//! hygiene: their local variables never clash with the user's.

use proc_macro2::{Span, TokenStream};

/// Returns a span at `position` whose names resolve as in generated code.
pub fn generated_at(position: Span) -> Span {
    Span::mixed_site().located_at(position)
}

/// Returns `tokens` moved to `position`; their names resolve as before.
pub fn moved_to(position: Span, tokens: &TokenStream) -> TokenStream {
    let moved = tokens.clone().into_iter().map(|mut token| {
        token.set_span(position.resolved_at(token.span()));
        token
    });
    moved.collect()
}

/// Returns the span of the first token, or that of the macro call if there are no tokens.
pub fn first_of(tokens: &TokenStream) -> Span {
    tokens.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span())
}
