//! Whether a body leaves its function before its end.

use proc_macro2::{Group, TokenStream, TokenTree};
use syn::visit_mut::{VisitMut, visit_expr_mut, visit_macro_mut};
use syn::{Expr, Item, Macro};

use crate::is_punct;

/// Macros that leave their function only where their arguments do.
const ORDINARY: [&str; 22] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "concat",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "eprintln",
    "format",
    "format_args",
    "matches",
    "panic",
    "print",
    "println",
    "stringify",
    "todo",
    "unimplemented",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// Whether `body` may `return`, or use `?` or a macro that hides one of them. What cannot be parsed may.
pub fn may_exit_early(body: &Group) -> bool {
    let Ok(mut block) = syn::parse2(TokenStream::from(TokenTree::Group(body.clone()))) else {
        return true;
    };
    let mut exits = Exits(false);
    exits.visit_block_mut(&mut block);
    exits.0
}

struct Exits(bool);

impl VisitMut for Exits {
    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        match expression {
            // What is in these leaves these.
            Expr::Closure(_) | Expr::Async(_) => {}
            Expr::Return(_) | Expr::Try(_) | Expr::Verbatim(_) => self.0 = true,
            expression => visit_expr_mut(self, expression),
        }
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}

    fn visit_macro_mut(&mut self, call: &mut Macro) {
        let known = call.path.segments.last().is_some_and(|name| ORDINARY.iter().any(|known| name.ident == known));
        self.0 |= !known || mentions_an_exit(call.tokens.clone());
        visit_macro_mut(self, call);
    }
}

fn mentions_an_exit(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "return",
        TokenTree::Group(group) => mentions_an_exit(group.stream()),
        token => is_punct(&token, '?'),
    })
}
