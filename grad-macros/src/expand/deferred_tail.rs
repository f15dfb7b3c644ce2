//! Closures and async blocks at the end of a block: they enter the scope again each time they run.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Expr, ExprClosure};

use super::scope::Reentry;
use crate::parse::deferred_tail::{DeferredTail, Last, parse};

/// Returns the body again, with its last expression wrapped.
///
/// `captured` is the variable that `reentry.enter` uses, if any: a reference to a static.
pub fn wrap(tail: DeferredTail, reentry: &Reentry<'_>, captured: Option<&Ident>) -> TokenStream {
    let last = match tail.last {
        Last::Async(block) => wrap_future(reentry, block.into_token_stream()),
        Last::Closure(closure) => wrap_closure(closure, reentry, captured).into_token_stream(),
    };
    let statements = tail.statements;
    quote!(#(#statements)* #last)
}

fn wrap_future(reentry: &Reentry<'_>, future: TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let Reentry { root, enter, detach } = *reentry;
    let future = match detach {
        None => future,
        Some(detach) => {
            let detach = detach.closure();
            quote_spanned!(span=> #root::__private::map_future(#future, #detach))
        }
    };
    quote_spanned!(span=> #root::__private::scoped(move || #enter, #future))
}

fn wrap_closure(mut closure: ExprClosure, reentry: &Reentry<'_>, captured: Option<&Ident>) -> ExprClosure {
    let span = Span::mixed_site();
    let Reentry { root, enter, detach } = *reentry;
    let body = closure.body;
    let body = if closure.asyncness.is_some() {
        let future = wrap_future(reentry, quote_spanned!(span=> async { #body }));
        quote_spanned!(span=> { #future.await })
    } else {
        let value = if let Some(tail) = parse(&body.to_token_stream()) {
            // A closure that ends in a closure or an async block. The inner one captures the static that the variable
            // refers to, not the variable, which does not live as long.
            let body = wrap(tail, reentry, captured);
            let reborrow = captured.map(|captured| quote_spanned!(span=> let #captured = &*#captured;));
            quote_spanned!(span=> match () { () => { #reborrow #body } })
        } else if let Some(detach) = detach {
            // The body is in a closure, so that `return` and `?` also lead to the detaching code.
            let output = &closure.output;
            detach.apply(&quote_spanned!(span=> #root::__private::call(|| #output #body)))
        } else {
            quote_spanned!(span=> match () { () => #body })
        };
        quote_spanned!(span=> {
            let _guard = #enter;
            #value
        })
    };
    closure.body = Box::new(Expr::Verbatim(body));
    closure
}
