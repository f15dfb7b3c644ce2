//! Async functions in a scope.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ReturnType;
use syn::spanned::Spanned;

use super::deferred;
use super::detach::Detach;
use super::scope::{Entry, Reentry, entry};
use crate::parse::deferred_type::Deferred;
use crate::scope::Scope;
use crate::span::{generated_at, moved_to};
use crate::tokens::in_braces;
use crate::types::{is_never, nameable};

/// Returns the statements of an `async fn` that enter `scope` at each poll of `body`, and while its state is dropped.
pub fn in_scope(
    scope: &Scope,
    output: &ReturnType,
    deferred: Option<&Deferred>,
    detach: Option<&Detach>,
    body: &Group,
) -> TokenStream {
    let span = Span::mixed_site();
    let Entry { setup, enter } = entry(scope);
    let root = &scope.root;
    let mut future = future(root, output, deferred, body);
    // A deferred output is not detached itself: its own outputs or items are.
    if let (None, Some(detach)) = (deferred, detach) {
        let detach = detach.closure();
        future = quote_spanned!(span=> #root::__private::detached_future(#future, #detach));
    }
    let polled = quote_spanned!(span=> #root::__private::scoped(move || #enter, #future).await);
    let result = match deferred {
        None => polled,
        Some(deferred) => {
            let reentry = Reentry { root, enter: &enter, detach };
            let wrapped = deferred::wrap(deferred, &reentry, &Ident::new("value", span).into_token_stream());
            quote_spanned!(span=> let value = #polled; #wrapped)
        }
    };
    quote_spanned! {span=>
        #setup
        #result
    }
}

/// Returns an async block around `body`.
fn future(root: &TokenStream, output: &ReturnType, deferred: Option<&Deferred>, body: &Group) -> TokenStream {
    let span = Span::mixed_site();
    let ty = nameable(output);
    // An async block cannot state its type, on which `?` and coercions depend. An unreachable `return` does.
    let unreachable_return = match output {
        ReturnType::Type(_, written) if !is_never(written) => {
            // Errors say "return type inferred to be … here", and should point to the type.
            let root = moved_to(written.span(), root);
            let never = quote_spanned!(generated_at(written.span())=> #root::__private::never::<#ty>());
            quote_spanned!(span=> if false { return #never; })
        }
        _ => TokenStream::new(),
    };
    let in_place = deferred.and_then(|deferred| deferred::evaluate_in_place(deferred, root, &ty, body));
    let typed = if let Some(value) = in_place {
        in_braces(Span::call_site(), quote_spanned!(span=> #unreachable_return #value))
    } else if unreachable_return.is_empty() {
        body.clone()
    } else {
        in_braces(body.span(), quote_spanned!(span=> #unreachable_return match () { () => #body }))
    };
    quote_spanned!(span=> async move #typed)
}
