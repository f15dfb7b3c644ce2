//! Determines whether a body may leave its function before its end.

use proc_macro2::{Group, TokenStream, TokenTree};
use syn::visit::{Visit, visit_expr};
use syn::{Block, Expr, Item, Macro};

use crate::tokens::is_punct;

/// Macros of std that leave their function only if their arguments do.
const TRANSPARENT_MACROS: [&str; 22] = [
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

/// Returns whether `body` may contain a `return` or `?` of its function, or a macro that hides one.
///
/// A body that cannot be parsed may contain anything.
pub fn is_possible(body: &Group) -> bool {
    let Ok(block) = syn::parse2::<Block>(TokenStream::from(TokenTree::Group(body.clone()))) else {
        return true;
    };
    let mut search = EarlyExitSearch { found: false };
    search.visit_block(&block);
    search.found
}

struct EarlyExitSearch {
    found: bool,
}

impl<'a> Visit<'a> for EarlyExitSearch {
    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            // `return` and `?` in a closure or an async block leave that, not the function.
            Expr::Closure(_) | Expr::Async(_) => {}
            Expr::Return(_) | Expr::Try(_) | Expr::Verbatim(_) => self.found = true,
            expression => visit_expr(self, expression),
        }
    }

    fn visit_item(&mut self, _: &'a Item) {}

    fn visit_macro(&mut self, call: &'a Macro) {
        let name = call.path.segments.last();
        let is_transparent = name.is_some_and(|name| TRANSPARENT_MACROS.iter().any(|known| name.ident == known));
        self.found |= !is_transparent || mentions_early_exit(call.tokens.clone());
    }
}

fn mentions_early_exit(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "return",
        TokenTree::Group(group) => mentions_early_exit(group.stream()),
        token => is_punct(&token, '?'),
    })
}
