//! Deferred results: they enter the scope again each time they run.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::{Token, TraitBound, Type};

use super::closure_signature;
use super::scope::Reentry;
use crate::parse::deferred_type::{CallTrait, Closure, Deferred, Form, Resumable};
use crate::parse::early_exit;
use crate::span::{generated_at, moved_to};

/// Returns an expression for `value`, wrapped to enter the scope again each time it runs.
pub fn wrap(deferred: &Deferred, reentry: &Reentry<'_>, value: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let root = moved_to(deferred.span, reentry.root);
    let inner = Ident::new("inner", generated_at(deferred.span)).into_token_stream();
    match &deferred.form {
        Form::Resumable(resumable) => {
            let enter = reentry.enter;
            let private = |name| {
                let name = Ident::new(name, generated_at(deferred.span));
                quote_spanned!(span=> #root::__private::#name)
            };
            let (scoped, detached) = match resumable {
                Resumable::Future => (private("scoped"), private("detached_future")),
                Resumable::Iterator => (private("scoped"), private("detached_iterator")),
                Resumable::Stream => (private("scoped_stream"), private("detached_stream")),
            };
            let value = match reentry.detach {
                None => value.clone(),
                Some(detach) => {
                    let detach = detach.closure();
                    quote_spanned!(span=> #detached(#value, #detach))
                }
            };
            quote_spanned!(span=> {
                let #inner = #value;
                #scoped(move || #enter, #inner)
            })
        }
        Form::Closure(closure) => wrap_closure(closure, &Reentry { root: &root, ..*reentry }, value),
        Form::Boxed(boxed) => {
            let wrapped = wrap(boxed, reentry, value);
            quote_spanned!(span=> #root::__private::Box::new(#wrapped))
        }
        Form::Pinned(pinned) => {
            let wrapped = wrap(pinned, reentry, value);
            quote_spanned!(span=> #root::__private::Box::pin(#wrapped))
        }
        Form::Option(some) => {
            let wrapped = wrap(some, reentry, &inner);
            quote_spanned! {span=>
                match #value {
                    ::core::option::Option::Some(#inner) => ::core::option::Option::Some(#wrapped),
                    ::core::option::Option::None => ::core::option::Option::None,
                }
            }
        }
        Form::Result(ok) => {
            let wrapped = wrap(ok, reentry, &inner);
            quote_spanned! {span=>
                match #value {
                    ::core::result::Result::Ok(#inner) => ::core::result::Result::Ok(#wrapped),
                    ::core::result::Result::Err(error) => ::core::result::Result::Err(error),
                }
            }
        }
    }
}

/// Returns a closure that enters the scope and calls the closure `value`. It must be a closure: on stable Rust, no type
/// of a crate can implement `Fn`.
fn wrap_closure(closure: &Closure, reentry: &Reentry<'_>, value: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let Reentry { root, enter, detach } = *reentry;
    let count = closure.signature.inputs.len();
    let arguments: Vec<_> = (0..count).map(|n| format_ident!("a{n}", span = span)).collect();
    let (mutability, enter_method) = match closure.call_trait {
        CallTrait::Fn => (None, "enter"),
        CallTrait::FnMut => (Some(Token![mut](span)), "enter_mut"),
        CallTrait::FnOnce => (None, "into_entered"),
    };
    let enter_method = Ident::new(enter_method, span);
    let call = quote_spanned!(span=> call(#(#arguments),*));
    let result = match (&closure.output, detach) {
        (None, None) => call,
        (None, Some(detach)) => detach.apply(&call),
        (Some(output), _) => wrap(output, reentry, &call),
    };
    quote_spanned! {span=> {
        let #mutability scoped = #root::__private::scoped(move || #enter, #value);
        move |#(#arguments),*| {
            let (_guard, call) = scoped.#enter_method();
            #result
        }
    }}
}

/// Returns an expression that evaluates `body` to a deferred value of the type `ty`.
///
/// The arguments of a returned closure have the types that the function's signature gives them.
pub fn evaluate(deferred: &Deferred, root: &TokenStream, ty: &Type, body: &Group) -> TokenStream {
    if let Some(value) = evaluate_in_place(deferred, root, ty, body) {
        return value;
    }
    // The body is in a closure, so that `return` and `?` also lead to the wrapping code.
    let span = Span::mixed_site();
    let body = quote_spanned!(span=> move || -> #ty #body);
    if let Form::Closure(closure) = &deferred.form
        && let Some(caller) = closure_signature::caller(closure)
    {
        return quote_spanned!(span=> { #caller(#body) });
    }
    quote_spanned!(span=> #root::__private::call(#body))
}

/// Returns the same without a closure around `body`: errors in the body are those of a function without the attribute.
///
/// Returns `None` if the body may leave the function before its end.
pub fn evaluate_in_place(deferred: &Deferred, root: &TokenStream, ty: &Type, body: &Group) -> Option<TokenStream> {
    if early_exit::is_possible(body) {
        return None;
    }
    let span = Span::mixed_site();
    if let Form::Closure(closure) = &deferred.form {
        return Some(evaluate_closure(closure, &moved_to(deferred.span, root), deferred.span, body));
    }
    Some(quote_spanned!(span=> {
        let value: #ty = match () { () => #body };
        value
    }))
}

/// Returns an expression that evaluates `body` to a closure. An unused trait object tells the compiler which arguments
/// to expect: its type can be anything that the signature can be.
fn evaluate_closure(closure: &Closure, root: &TokenStream, position: Span, body: &Group) -> TokenStream {
    let span = Span::mixed_site();
    let put = Ident::new("put", generated_at(position));
    let TraitBound { lifetimes, path, .. } = &closure.bound;
    quote_spanned! {span=> {
        let mut slot = ::core::option::Option::None;
        let _: &mut dyn #lifetimes #path = #root::__private::#put(match () { () => #body }, &mut slot);
        match slot {
            ::core::option::Option::Some(closure) => closure,
            ::core::option::Option::None => ::core::unreachable!(),
        }
    }}
}
