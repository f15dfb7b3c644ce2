//! Finds the `.await` that the body of a block macro must not contain.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

use crate::scope::ScopeKind;
use crate::tokens::is_punct;

/// Macros of `futures` and `tokio` that suspend the enclosing function without a visible `.await`.
const SUSPENDING_MACROS: [&str; 6] = ["join", "try_join", "select", "select_biased", "pending", "poll"];

/// Returns the first `await`, or the first name of a macro that hides one, that would suspend the function around
/// `body`.
///
/// The search is for tokens, not syntax, because `.await` may also occur in the arguments of other macros. It skips
/// `async` blocks, functions and closures, which suspend something else, and nested block macros, which do their own
/// search. The exception is a nested block macro with a condition: an `.await` in the condition suspends the function.
pub fn find(body: TokenStream) -> Option<Ident> {
    let mut tokens = body.into_iter().peekable();
    let mut is_after_dot = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "await" && is_after_dot => return Some(word),
            TokenTree::Ident(word) if word == "async" => skip_async(&mut tokens),
            TokenTree::Ident(word) if ScopeKind::named(&word).is_some_and(|kind| !kind.takes_condition()) => {
                if tokens.next_if(|next| is_punct(next, '!')).is_some() {
                    tokens.next();
                }
            }
            TokenTree::Ident(word) if SUSPENDING_MACROS.iter().any(|name| word == name) => {
                if tokens.next_if(|next| is_punct(next, '!')).is_some() {
                    return Some(word);
                }
            }
            TokenTree::Group(group) => {
                if let Some(word) = find(group.stream()) {
                    return Some(word);
                }
            }
            token => {
                is_after_dot = is_punct(&token, '.');
                continue;
            }
        }
        is_after_dot = false;
    }
    None
}

/// Skips what follows `async`: a block, a function, or a closure, whose body may be any expression.
fn skip_async(tokens: &mut std::iter::Peekable<impl Iterator<Item = TokenTree>>) {
    // A closure has its parameters between two bars.
    let mut bars = 0;
    while let Some(token) = tokens.peek() {
        let is_end_of_expression = is_punct(token, ',') || is_punct(token, ';');
        if bars == 2 && is_end_of_expression {
            return;
        }
        let is_braces = matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        if bars < 2 && is_punct(token, '|') {
            bars += 1;
        }
        tokens.next();
        if bars == 0 && is_braces {
            return;
        }
    }
}
