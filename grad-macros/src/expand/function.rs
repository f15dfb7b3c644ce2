//! Functions in a scope.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ReturnType;

use super::detach::Detach;
use super::scope::{Entry, Reentry, entry, in_scope};
use super::{async_function, deferred, detach_args};
use crate::parse::deferred_type::{self, Deferred};
use crate::parse::item::Function;
use crate::scope::{Scope, ScopeAttribute};
use crate::tokens::{in_braces, is_punct};
use crate::types::nameable_output;

/// Returns the function with its body in the scope of `attribute`.
pub fn expand(attribute: &ScopeAttribute, function: Function) -> TokenStream {
    let scope = &attribute.scope;
    let Function { attributes, visibility, defaultness, mut signature, body } = function;
    let span = body.span();
    // The user's own braces are kept where possible: rustc reports an error in a copy twice.
    let (inner_attributes, mut body) = match split_inner_attributes(body.stream()) {
        Some((attributes, statements)) => (attributes, in_braces(body.span(), statements)),
        None => (TokenStream::new(), body),
    };

    let deferred = if attribute.eager { None } else { deferred_type::of_output(&signature.output) };
    if let Some(wanted) = &attribute.detach_args {
        // A condition reads the arguments by the user's names.
        let rename = scope.condition.is_none();
        let rebound = detach_args::rebind(wanted, &scope.root, &mut signature, rename);
        let statements = body.stream();
        body = in_braces(body.span(), quote!(#rebound #statements));
    }
    let detach = Detach::of_output(scope, &signature.output);
    let output = &signature.output;
    let statements = match (signature.asyncness, &deferred, &detach) {
        (Some(_), deferred, detach) => {
            async_function::in_scope(scope, output, deferred.as_ref(), detach.as_ref(), &body)
        }
        (None, Some(deferred), detach) => in_scope_and_deferred(scope, deferred, detach.as_ref(), &body),
        (None, None, Some(detach)) => in_scope_and_detached(scope, output, detach, &body),
        (None, None, None) => in_scope(scope, &body),
    };
    // With the user's span, errors about the body as a whole point to its braces.
    let body = in_braces(span, quote!(#inner_attributes #statements));
    quote!(#(#attributes)* #visibility #defaultness #signature #body)
}

/// Splits a body that begins with inner attributes, `#![…]` and `//! …`, into these and its statements: the attributes must stay first
/// in the function.
fn split_inner_attributes(body: TokenStream) -> Option<(TokenStream, TokenStream)> {
    let mut tokens = body.into_iter().peekable();
    let mut attributes = TokenStream::new();
    let mut rest = TokenStream::new();
    while let Some(hash) = tokens.next_if(|token| is_punct(token, '#')) {
        let Some(bang) = tokens.next_if(|token| is_punct(token, '!')) else {
            rest.extend([hash]);
            break;
        };
        attributes.extend([hash, bang]);
        attributes.extend(tokens.next());
    }
    if attributes.is_empty() {
        return None;
    }
    rest.extend(tokens);
    Some((attributes, rest))
}

/// Returns statements that evaluate `body` in `scope` and detach its value there.
///
/// The body is in a closure, so that `return` and `?` also lead to the detaching code. The temporaries of the body are
/// dropped with the closure.
fn in_scope_and_detached(scope: &Scope, output: &ReturnType, detach: &Detach, body: &Group) -> TokenStream {
    let span = Span::mixed_site();
    let Entry { setup, enter } = entry(scope);
    let (root, ty) = (&scope.root, nameable_output(output));
    let detached = detach.apply(&quote_spanned!(span=> #root::__private::call(move || -> #ty #body)));
    quote_spanned! {span=>
        #setup
        let _guard = #enter;
        #detached
    }
}

/// Returns statements that evaluate `body` in `scope`; its deferred value enters the scope again each time it runs, and
/// its outputs or items are detached.
fn in_scope_and_deferred(scope: &Scope, deferred: &Deferred, detach: Option<&Detach>, body: &Group) -> TokenStream {
    let span = Span::mixed_site();
    let Entry { setup, enter } = entry(scope);
    let (root, value) = (&scope.root, Ident::new("value", span).into_token_stream());
    let evaluated = deferred::evaluate(root, &deferred.ty, body);
    let wrapped = deferred::wrap(deferred, &Reentry { root, enter: &enter, detach }, &value);
    quote_spanned! {span=>
        #setup
        let _guard = #enter;
        let #value = #evaluated;
        #wrapped
    }
}
