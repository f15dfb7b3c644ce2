//! Code that enters a scope.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};

use super::detach::Detach;
use crate::scope::{Scope, ScopeKind};
use crate::span::first_of;

/// Code that enters a scope.
pub struct Entry {
    /// Statements that run once, before the scope is first entered.
    pub setup: TokenStream,
    /// An expression that enters the scope each time it is evaluated.
    pub enter: TokenStream,
}

/// Code with which deferred work enters its scope again.
///
/// Both expressions may be evaluated in closures that move the variables they use.
pub struct Reentry<'a> {
    /// The path of `grad_runtime`.
    pub root: &'a TokenStream,
    /// An expression that enters the scope each time it is evaluated.
    pub enter: &'a TokenStream,
    /// How outputs and items are detached, if they are.
    pub detach: Option<&'a Detach>,
}

/// Returns the code that enters `scope`.
pub fn entry(scope: &Scope) -> Entry {
    let value = value(scope);
    if scope.condition.is_none() {
        // The constant is used directly: a variable would be read and matched on at each poll.
        return Entry { setup: TokenStream::new(), enter: enter(scope, &value) };
    }
    let span = Span::mixed_site();
    let variable = variable();
    Entry { setup: quote_spanned!(span=> let #variable = #value;), enter: enter(scope, &variable) }
}

/// Returns the variable that holds the scope if it depends on a condition.
pub fn variable() -> Ident {
    Ident::new("scope", Span::mixed_site())
}

/// Returns statements that enter `scope` and evaluate `body` in it.
pub fn in_scope(scope: &Scope, body: &Group) -> TokenStream {
    let Entry { setup, enter } = entry(scope);
    // The `match` drops the temporaries of the body before the guard, in every edition: before edition 2024, temporaries
    // of a block's last expression outlive its variables. A variable for the value would lose the expected type, and
    // with it the coercions; a labelled block would forbid plain `break` and `continue`.
    quote_spanned! {Span::mixed_site()=>
        #setup
        let _guard = #enter;
        match () { () => #body }
    }
}

/// Returns an expression that evaluates `body` before other generated code.
///
/// Where the body never ends, as in `{ todo!() }`, the compiler would warn that the code after it is unreachable. The first arm
/// hides from the compiler that it never ends.
pub fn evaluated(root: &TokenStream, body: &Group) -> TokenStream {
    quote_spanned! {Span::mixed_site()=>
        match () {
            () if false => #root::__private::never(),
            () => #body
        }
    }
}

/// Returns an expression for the `grad_runtime::Scope`.
fn value(scope: &Scope) -> TokenStream {
    let root = &scope.root;
    let span = Span::mixed_site();
    let variants = quote_spanned!(span=> #root::Scope);
    match (scope.kind, &scope.condition) {
        (ScopeKind::NoGrad, _) => quote_spanned!(span=> #variants::NoGrad),
        (ScopeKind::EnableGrad, _) => quote_spanned!(span=> #variants::EnableGrad),
        (ScopeKind::InferenceMode, None) => quote_spanned!(span=> #variants::InferenceMode(true)),
        (kind, condition) => {
            let constructor = if kind == ScopeKind::InferenceMode { "InferenceMode" } else { "set_grad_enabled" };
            let constructor = Ident::new(constructor, span);
            // With the type written here, a condition of another type is an error at the condition, not about a
            // function that the user never called.
            quote_spanned!(span=> {
                let condition: ::core::primitive::bool = #condition;
                #variants::#constructor(condition)
            })
        }
    }
}

/// Returns an expression that enters the scope that `value` evaluates to.
fn enter(scope: &Scope, value: &impl ToTokens) -> TokenStream {
    let span = Span::mixed_site();
    match &scope.backend {
        None => quote_spanned!(span=> #value.enter()),
        Some(backend) => {
            // A value that is not a backend is an error at its name.
            let reference = quote_spanned!(first_of(backend)=> &);
            quote_spanned!(span=> #value.enter_for(#reference #backend))
        }
    }
}
