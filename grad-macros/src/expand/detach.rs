//! Code that detaches values.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ReturnType;
use syn::spanned::Spanned;

use crate::scope::{DetachWith, Scope};
use crate::span::{generated_at, moved_to};
use crate::types::is_never;

/// Code that detaches a value.
pub struct Detach {
    root: TokenStream,
    with: DetachWith,
    /// Where errors about the value's type point.
    span: Span,
}

impl Detach {
    /// Returns the code for the results of a function, if the scope detaches them.
    pub fn of_output(scope: &Scope, output: &ReturnType) -> Option<Self> {
        // Before the type's span, which takes a copy of its tokens.
        scope.detach.as_ref()?;
        match output {
            ReturnType::Type(_, ty) if is_never(ty) => None,
            ReturnType::Type(_, ty) => Self::at(scope, ty.span()),
            ReturnType::Default => Self::at(scope, Span::mixed_site()),
        }
    }

    /// Returns the code for values whose type is not written; errors about the type point to `position`.
    pub fn at(scope: &Scope, position: Span) -> Option<Self> {
        let with = scope.detach.clone()?;
        Some(Self { root: moved_to(position, &scope.root), with, span: generated_at(position) })
    }

    /// Returns an expression that detaches `value`.
    pub fn apply(&self, value: &TokenStream) -> TokenStream {
        let Self { root, with, span } = self;
        // Errors point to the argument of a call, hence the variable.
        let variable = Ident::new("value", *span);
        let detached = match with {
            DetachWith::Trait => quote_spanned!(*span=> #root::Detach::detached(#variable)),
            DetachWith::Function(function) => {
                quote_spanned!(*span=> #root::__private::detach_with(#variable, #function))
            }
        };
        quote_spanned!(Span::mixed_site()=> { let #variable = #value; #detached })
    }

    /// Returns a closure that detaches its argument.
    pub fn closure(&self) -> TokenStream {
        let item = Ident::new("item", self.span).into_token_stream();
        let detached = self.apply(&item);
        quote_spanned!(Span::mixed_site()=> |#item| #detached)
    }
}
