//! Finds the `.await` that a block macro cannot hold.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

use crate::args::Kind;
use crate::is_punct;

/// Macros of `futures` and `tokio` that suspend the function they stand in, with no `.await` to be seen.
const SUSPENDING: [&str; 6] = ["join", "try_join", "select", "select_biased", "pending", "poll"];

/// The first `.await` that would suspend the function around `body`, or the first macro that hides one.
///
/// It looks at tokens, not at syntax, because `.await` hides in the arguments of other macros too. What is inside
/// `async` suspends something else: that is skipped, and so are blocks of ours, which look for themselves (not so those
/// with a condition, which may suspend the function as far as they are concerned).
pub fn find_await(body: TokenStream) -> Option<Span> {
    let mut tokens = body.into_iter().peekable();
    let mut after_dot = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "await" && after_dot => return Some(word.span()),
            TokenTree::Ident(word) if word == "async" => skip_async(&mut tokens),
            TokenTree::Ident(word) if Kind::named(&word).is_some_and(|kind| !kind.takes_condition()) => {
                if tokens.next_if(|next| is_punct(next, '!')).is_some() {
                    tokens.next();
                }
            }
            TokenTree::Ident(word) if SUSPENDING.iter().any(|name| word == name) => {
                if tokens.next_if(|next| is_punct(next, '!')).is_some() {
                    return Some(word.span());
                }
            }
            TokenTree::Group(group) => {
                if let Some(span) = find_await(group.stream()) {
                    return Some(span);
                }
            }
            token => {
                after_dot = is_punct(&token, '.');
                continue;
            }
        }
        after_dot = false;
    }
    None
}

/// Skips what comes after `async`: a block, a function, or a closure, whose body may be any expression.
fn skip_async(tokens: &mut std::iter::Peekable<impl Iterator<Item = TokenTree>>) {
    let mut bars = 0;
    while let Some(token) = tokens.peek() {
        let end_of_expression = is_punct(token, ',') || is_punct(token, ';');
        if bars == 2 && end_of_expression {
            return;
        }
        let braces = matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        if bars < 2 && is_punct(token, '|') {
            bars += 1;
        }
        tokens.next();
        if bars == 0 && braces {
            return;
        }
    }
}
