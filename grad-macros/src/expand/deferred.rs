//! Deferred results: they enter the scope again each time they run.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::spanned::Spanned;
use syn::{Token, Type};

use super::expected_type;
use super::scope::{Reentry, evaluated};
use crate::parse::deferred_type::{CallTrait, Closure, Deferred, Form, Pointer, Resumable, ResumableKind};
use crate::parse::early_exit;
use crate::span::{generated_at, moved_to};
use crate::tokens::in_braces;
use crate::types::{is_opaque, nameable, peeled};

/// Returns an expression for `value`, wrapped to enter the scope again each time it runs.
pub fn wrap(deferred: &Deferred, reentry: &Reentry<'_>, value: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let root = moved_to(deferred.span(), reentry.root);
    let reentry = &Reentry { root: &root, ..*reentry };
    let inner = Ident::new("inner", generated_at(deferred.span())).into_token_stream();
    match &deferred.form {
        Form::Resumable(resumable) => wrap_resumable(resumable, deferred.span(), reentry, value),
        Form::Closure(closure) => wrap_closure(closure, reentry, value),
        Form::Pointer(pointer, target) => wrap_pointer(*pointer, target, reentry, value),
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
        Form::Tuple(elements) => {
            let names: Vec<_> = (0..elements.len()).map(|n| format_ident!("element_{n}", span = span)).collect();
            let elements = elements.iter().zip(&names).map(|(element, name)| {
                let name = name.to_token_stream();
                wrap_or_detach(element.as_ref(), reentry, &name).unwrap_or(name)
            });
            quote_spanned!(span=> {
                let (#(#names,)*) = #value;
                (#(#elements,)*)
            })
        }
    }
}

/// Returns an expression for a part of a result: wrapped if it is deferred, and otherwise detached if the scope detaches
/// results. Returns `None` if it stays as it is.
fn wrap_or_detach(deferred: Option<&Deferred>, reentry: &Reentry<'_>, value: &TokenStream) -> Option<TokenStream> {
    match (deferred, reentry.detach) {
        (Some(deferred), _) => Some(wrap(deferred, reentry, value)),
        (None, Some(detach)) => Some(detach.apply(value)),
        (None, None) => None,
    }
}

/// Returns a closure that wraps its argument if that is deferred, and otherwise detaches it if the scope detaches results.
pub fn each(deferred: Option<&Deferred>, reentry: &Reentry<'_>) -> Option<TokenStream> {
    let span = Span::mixed_site();
    let item = Ident::new("item", span).into_token_stream();
    let body = wrap_or_detach(deferred, reentry, &item)?;
    // The type leads to the coercion of a boxed wrapper to its trait object.
    let output = deferred.map(|deferred| {
        let ty = nameable(&deferred.ty);
        quote_spanned!(span=> -> #ty)
    });
    let body = in_braces(span, body);
    Some(quote_spanned!(span=> move |#item| #output #body))
}

fn wrap_resumable(
    resumable: &Resumable,
    position: Span,
    reentry: &Reentry<'_>,
    value: &TokenStream,
) -> TokenStream {
    let span = Span::mixed_site();
    let Reentry { root, enter, .. } = *reentry;
    let (scoped, map) = match resumable.kind {
        ResumableKind::Future => ("scoped", "map_future"),
        ResumableKind::Iterator | ResumableKind::IntoIterator => ("scoped", "map_iterator"),
        ResumableKind::Stream => ("scoped_stream", "map_stream"),
    };
    let private = |name| {
        let name = Ident::new(name, generated_at(position));
        quote_spanned!(span=> #root::__private::#name)
    };
    let (scoped, map) = (private(scoped), private(map));
    let mut value = match resumable.kind {
        ResumableKind::IntoIterator => quote_spanned!(span=> ::core::iter::IntoIterator::into_iter(#value)),
        _ => value.clone(),
    };
    if let Some(each) = each(resumable.item.as_deref(), reentry) {
        value = quote_spanned!(span=> #map(#value, #each));
    }
    let inner = Ident::new("inner", generated_at(position));
    quote_spanned!(span=> {
        let #inner = #value;
        #scoped(move || #enter, #inner)
    })
}

/// The access by which deferred work runs.
enum Running {
    Shared,
    Mutable,
    Pinned,
}

fn running(deferred: &Deferred) -> Running {
    match &deferred.form {
        Form::Closure(closure) if closure.call_trait == CallTrait::Fn => Running::Shared,
        Form::Resumable(resumable) if resumable.kind.is_polled() => Running::Pinned,
        _ => Running::Mutable,
    }
}

/// Returns a new pointer of the same kind, to what `value` points to, wrapped.
fn wrap_pointer(pointer: Pointer, target: &Deferred, reentry: &Reentry<'_>, value: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let root = reentry.root;
    // A value of a sized type is taken out of its box. A trait object stays in its pointer, which runs it: a pinned one
    // if it is polled, and an unpinned one if it is run by `&mut` or consumed.
    let is_sized = !matches!(peeled(&target.ty), Type::TraitObject(_));
    let value = match (pointer, running(target)) {
        (Pointer::Box, _) if is_sized => quote_spanned!(span=> *#value),
        (Pointer::Box, Running::Pinned) => quote_spanned!(span=> #root::__private::Box::into_pin(#value)),
        (Pointer::PinnedBox, Running::Mutable) if is_sized => {
            quote_spanned!(span=> *::core::pin::Pin::into_inner(#value))
        }
        (Pointer::PinnedBox, Running::Mutable) => quote_spanned!(span=> ::core::pin::Pin::into_inner(#value)),
        _ => value.clone(),
    };
    let wrapped = wrap(target, reentry, &value);
    let new = match pointer {
        Pointer::Box => quote_spanned!(span=> Box::new),
        Pointer::PinnedBox => quote_spanned!(span=> Box::pin),
        Pointer::Rc => quote_spanned!(span=> Rc::new),
        Pointer::Arc => quote_spanned!(span=> Arc::new),
    };
    quote_spanned!(span=> #root::__private::#new(#wrapped))
}

/// Returns a closure that enters the scope and calls the closure `value`. It must be a closure: on stable Rust, no type
/// of a crate can implement `Fn`.
fn wrap_closure(closure: &Closure, reentry: &Reentry<'_>, value: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let Reentry { root, enter, .. } = *reentry;
    let count = closure.signature.inputs.len();
    let arguments: Vec<_> = (0..count).map(|n| format_ident!("a{n}", span = span)).collect();
    let mutability = (closure.call_trait == CallTrait::FnMut).then(|| Token![mut](span));
    let call = quote_spanned!(span=> call(#(#arguments),*));
    let output = closure.output.as_deref();

    // A `Copy` closure owns nothing that is dropped, so it needs no scope around its drop.
    let setup = if closure.is_copy {
        quote_spanned!(span=> let #mutability call = #value;)
    } else {
        quote_spanned!(span=> let #mutability scoped = #root::__private::scoped(move || #enter, #value);)
    };
    let method = |names: [&str; 3]| {
        let [by_ref, by_mut, by_value] = names;
        let name = match closure.call_trait {
            CallTrait::Fn => by_ref,
            CallTrait::FnMut => by_mut,
            CallTrait::FnOnce => by_value,
        };
        Ident::new(name, span)
    };
    let wrapper = if closure.is_async {
        let callee = method(["inner", "inner_mut", "into_inner"]);
        let callee = if closure.is_copy { None } else { Some(quote_spanned!(span=> let call = scoped.#callee();)) };
        let mut future = quote_spanned!(span=> async move { #call.await });
        if let Some(each) = each(output, reentry) {
            future = quote_spanned!(span=> #root::__private::map_future(#future, #each));
        }
        quote_spanned! {span=>
            async move |#(#arguments),*| {
                #callee
                #root::__private::scoped(move || #enter, #future).await
            }
        }
    } else {
        let enter_method = method(["enter", "enter_mut", "into_entered"]);
        let guard = if closure.is_copy {
            quote_spanned!(span=> let _guard = #enter;)
        } else {
            quote_spanned!(span=> let (_guard, call) = scoped.#enter_method();)
        };
        let result = wrap_or_detach(output, reentry, &call).unwrap_or(call);
        quote_spanned! {span=>
            move |#(#arguments),*| {
                #guard
                #result
            }
        }
    };
    let wrapper = match expected_type::closure(closure) {
        Some(identity) => quote_spanned!(span=> { #identity(#wrapper) }),
        None => wrapper,
    };
    quote_spanned!(span=> { #setup #wrapper })
}

/// Returns an expression that evaluates `body` to a deferred value of the type `ty`.
pub fn evaluate(root: &TokenStream, ty: &Type, body: &Group) -> TokenStream {
    let span = Span::mixed_site();
    let nameable = nameable(ty);
    if early_exit::is_possible(body) {
        // The body is in a closure, so that `return` and `?` also lead to the wrapping code.
        let body = if is_opaque(ty) { typed_body(root, ty, body) } else { body.clone() };
        return quote_spanned!(span=> #root::__private::call(move || -> #nameable #body));
    }
    // Without a closure, errors in the body are those of a function without the attribute.
    if let Some(identity) = expected_type::identity(ty) {
        // A `match` around the body would hide the expected type from it.
        return quote_spanned!(span=> { #identity(#body) });
    }
    // For `impl Trait`, a body must end: its type is not written.
    let value = if is_opaque(ty) { quote_spanned!(span=> match () { () => #body }) } else { evaluated(root, body) };
    quote_spanned!(span=> {
        let value: #nameable = #value;
        value
    })
}

/// Returns `body`, of a closure or an async block, with a statement from which the compiler takes the type that it
/// returns. A closure could state its type, but not `impl Trait`; an async block can state none, although `?` and coercions
/// depend on it.
pub fn typed_body(root: &TokenStream, ty: &Type, body: &Group) -> Group {
    let span = Span::mixed_site();
    // Errors say "return type inferred to be … here", and should point to the type.
    let (root, nameable) = (moved_to(ty.span(), root), nameable(ty));
    let never = quote_spanned!(generated_at(ty.span())=> #root::__private::never::<#nameable>());
    let identity = expected_type::identity(ty);
    let (never, value) = match &identity {
        Some(identity) => {
            (quote_spanned!(span=> { #identity(#never) }), quote_spanned!(span=> { #identity(#body) }))
        }
        // A plain block would warn about its braces; its contents alone would have a syntax error in them reported twice.
        None => (never, quote_spanned!(span=> match () { () => #body })),
    };
    in_braces(body.span(), quote_spanned!(span=> if false { return #never; } #value))
}

/// Returns whether the value is a future, boxed or not.
pub fn is_future(deferred: &Deferred) -> bool {
    match &deferred.form {
        Form::Resumable(resumable) => resumable.kind == ResumableKind::Future,
        Form::Pointer(_, target) => is_future(target),
        _ => false,
    }
}
