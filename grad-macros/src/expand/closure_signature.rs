//! A function that tells the compiler the signature of the closure that a body returns.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{ReturnType, Type};

use crate::parse::deferred_type::{CallTrait, Closure};
use crate::tokens::is_punct;

/// Returns a function item, and an expression for that function, which calls its argument to obtain the closure.
///
/// An item in a function does not see the type parameters around it, so the item has parameters of its own in the place
/// of types. Returns `None` if the signature cannot be written like this.
pub fn caller(closure: &Closure) -> Option<TokenStream> {
    if closure.bound.lifetimes.is_some() {
        return None;
    }
    let span = Span::mixed_site();
    let mut generics = Generics::default();
    let inputs = closure.signature.inputs.iter().map(|argument| generics.generalize(&argument.ty, true));
    let inputs: Vec<_> = inputs.collect::<Option<_>>()?;
    let output = match &closure.signature.output {
        ReturnType::Default => quote_spanned!(span=> ()),
        ReturnType::Type(_, ty) => generics.generalize(ty, true)?,
    };
    let Generics { parameters, arguments } = generics;
    let call_trait = match closure.call_trait {
        CallTrait::Fn => "Fn",
        CallTrait::FnMut => "FnMut",
        CallTrait::FnOnce => "FnOnce",
    };
    let call_trait = Ident::new(call_trait, span);
    // The names of items have no hygiene, hence the prefix.
    Some(quote_spanned! {span=>
        fn __grad_expect<#(#parameters,)* __F, __M>(make: __M) -> __F
        where
            __F: ::core::ops::#call_trait(#(#inputs),*) -> #output,
            __M: ::core::ops::FnOnce() -> __F,
        {
            make()
        }
        __grad_expect::<#(#arguments,)* _, _>
    })
}

/// The type parameters of the function, and the types that they stand for.
#[derive(Default)]
struct Generics {
    /// With their bounds.
    parameters: Vec<TokenStream>,
    arguments: Vec<TokenStream>,
}

impl Generics {
    /// Returns `ty` with a type parameter for each part without an elided lifetime, which would be the closure's own.
    /// Returns `None` if an elided lifetime is in a part that is neither a reference nor parentheses.
    fn generalize(&mut self, ty: &Type, is_sized: bool) -> Option<TokenStream> {
        if !may_elide_lifetime(ty.to_token_stream()) {
            let span = Span::mixed_site();
            let parameter = format_ident!("__P{}", self.parameters.len(), span = span);
            let bound = (!is_sized).then(|| quote_spanned!(span=> : ?::core::marker::Sized));
            self.arguments.push(ty.to_token_stream());
            self.parameters.push(quote!(#parameter #bound));
            return Some(parameter.into_token_stream());
        }
        match ty {
            Type::Paren(inner) => self.generalize(&inner.elem, is_sized),
            Type::Group(inner) => self.generalize(&inner.elem, is_sized),
            Type::Reference(reference)
                if reference.lifetime.as_ref().is_none_or(|lifetime| lifetime.ident == "_") =>
            {
                let (and, mutability) = (reference.and_token, &reference.mutability);
                // The lifetime bound of a trait object defaults to that of the reference, which a parameter would lose.
                if matches!(*reference.elem, Type::TraitObject(_)) {
                    return None;
                }
                let inner = self.generalize(&reference.elem, false)?;
                Some(quote!(#and #mutability #inner))
            }
            _ => None,
        }
    }
}

/// Returns whether a type may contain `&` without a lifetime, or `'_`. The search is for tokens: it may find one too
/// many, but misses none.
fn may_elide_lifetime(ty: TokenStream) -> bool {
    let mut tokens = ty.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_elided = match &token {
            TokenTree::Group(group) => may_elide_lifetime(group.stream()),
            token if is_punct(token, '&') => !tokens.peek().is_some_and(|next| is_punct(next, '\'')),
            token if is_punct(token, '\'') => {
                matches!(tokens.peek(), Some(TokenTree::Ident(name)) if name == "_")
            }
            _ => false,
        };
        if is_elided {
            return true;
        }
    }
    false
}
