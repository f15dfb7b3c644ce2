//! Async functions in a scope.

use proc_macro2::{Group, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::ReturnType;

use super::deferred;
use super::detach::Detach;
use super::scope::{Entry, Reentry, entry};
use crate::parse::deferred_type::Deferred;
use crate::scope::Scope;
use crate::tokens::in_braces;
use crate::types::is_never;

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
    if let Some(each) = deferred::each(deferred, &Reentry { root, enter: &enter, detach }) {
        future = quote_spanned!(span=> #root::__private::map_future(#future, #each));
    }
    let scoped = if let Some(kind) = scope.constant() {
        let function = format_ident!("scoped_{}", kind.name(), span = span);
        quote_spanned!(span=> #function(#future))
    } else {
        quote_spanned!(span=> scoped(move || #enter, #future))
    };
    quote_spanned! {span=>
        #setup
        #root::__private::#scoped.await
    }
}

/// Returns an async block around `body`.
fn future(root: &TokenStream, output: &ReturnType, deferred: Option<&Deferred>, body: &Group) -> TokenStream {
    let span = Span::mixed_site();
    let typed = match output {
        ReturnType::Type(_, ty) if !is_never(ty) => {
            let typed = deferred::typed_body(root, ty, body);
            // Clippy takes a block whose last expression is a future for a forgotten `.await`.
            if deferred.is_some_and(deferred::is_future) {
                in_braces(body.span(), quote_spanned!(span=> return #typed;))
            } else {
                typed
            }
        }
        _ => body.clone(),
    };
    quote_spanned!(span=> async move #typed)
}
