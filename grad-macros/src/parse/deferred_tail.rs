//! The closure or async block that a block macro or `carry!` ends in.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::parse::Parser;
use syn::{Block, Expr, ExprAsync, ExprClosure, Stmt};

use crate::tokens::is_punct;

/// A body whose last expression runs later.
pub struct DeferredTail {
    pub statements: Vec<Stmt>,
    pub last: Last,
}

/// The last expression.
pub enum Last {
    Closure(ExprClosure),
    Async(ExprAsync),
}

/// Parses a body; returns `None` if it ends in anything else or is incomplete, for which rustc reports the errors.
pub fn parse(body: &TokenStream) -> Option<DeferredTail> {
    let body = without_delimiters(body.clone());
    // Most bodies need no parsing: they contain neither word nor bar.
    let is_hint = |token| match token {
        TokenTree::Ident(word) => word == "async",
        token => is_punct(&token, '|'),
    };
    if !body.clone().into_iter().any(is_hint) {
        return None;
    }
    let mut statements = Block::parse_within.parse2(body).ok()?;
    match statements.pop()? {
        Stmt::Expr(last, None) => Some(DeferredTail { statements, last: classify(last)? }),
        _ => None,
    }
}

fn classify(expression: Expr) -> Option<Last> {
    match expression {
        Expr::Closure(closure) => Some(Last::Closure(closure)),
        Expr::Async(block) => Some(Last::Async(block)),
        Expr::Paren(inner) => classify(*inner.expr),
        Expr::Group(inner) => classify(*inner.expr),
        _ => None,
    }
}

/// Returns the contents of a body that is one group: braces, or parentheses around a closure.
fn without_delimiters(body: TokenStream) -> TokenStream {
    let mut tokens = body.clone().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Group(group)), None)
            if matches!(group.delimiter(), Delimiter::Brace | Delimiter::None | Delimiter::Parenthesis) =>
        {
            without_delimiters(group.stream())
        }
        _ => body,
    }
}
