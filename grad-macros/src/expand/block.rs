//! Block macros: `no_grad! { … }` and its siblings.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::quote_spanned;

use super::deferred_tail;
use super::detach::Detach;
use super::scope::{Entry, Reentry, entry, evaluated, in_scope, variable};
use crate::parse;
use crate::scope::Scope;
use crate::tokens::in_braces;
use crate::validate;

/// Expands `[$crate kind] head body`.
pub fn expand(input: TokenStream) -> TokenStream {
    let Some(block) = parse::block::parse(input) else {
        return validate::block::called_directly("block", "`no_grad!` or one of its siblings").into_compile_error();
    };
    match validate::block::scope(&block) {
        Ok(scope) => body_in_scope(&scope, block.body),
        // The body stays, so that what it defines and uses gives no further errors or warnings.
        Err(error) => {
            let error = error.into_compile_error();
            let body = as_block(block.body);
            quote_spanned!(Span::mixed_site()=> { #error match () { () => #body } })
        }
    }
}

fn body_in_scope(scope: &Scope, body: TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let detach = Detach::at(scope, span);
    let Some(tail) = parse::deferred_tail::parse(&body) else {
        let mut body = as_block(body);
        if let Some(detach) = detach {
            body = as_block(detach.apply(&evaluated(&scope.root, &body)));
        }
        let statements = in_scope(scope, &body);
        return quote_spanned!(span=> { #statements });
    };
    let Entry { setup, enter } = entry(scope);
    // The closure at the end may borrow what it uses, but must not borrow a variable of this block: the scope that a
    // condition chose is kept in a static.
    let captured = scope.condition.is_some().then(variable);
    let keep = captured.as_ref().map(|captured| quote_spanned!(span=> let #captured = #captured.as_static();));
    let reentry = Reentry { root: &scope.root, enter: &enter, detach: detach.as_ref() };
    let body = deferred_tail::wrap(tail, &reentry, captured.as_ref());
    quote_spanned!(span=> {
        #setup
        #keep
        let _guard = #enter;
        #body
    })
}

/// Returns the body in braces: the user's own if it has them.
fn as_block(body: TokenStream) -> Group {
    let mut tokens = body.clone().into_iter();
    if let (Some(TokenTree::Group(group)), None) = (tokens.next(), tokens.next())
        && group.delimiter() == Delimiter::Brace
    {
        return group;
    }
    in_braces(Span::mixed_site(), body)
}
