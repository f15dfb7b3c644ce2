//! Code that detaches arguments: `detach(args)`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::ext::IdentExt;
use syn::{FnArg, Ident, Pat, PatIdent, Type};

use crate::parse::bindings;
use crate::parse::signature::Signature;
use crate::scope::DetachArgs;
use crate::span::{generated_at, moved_to};
use crate::types::peeled;

/// Returns statements that bind the arguments `wanted` again, detached.
///
/// Values behind `&mut` stay as they are: they belong to the caller.
///
/// If `rename` is set, the signature binds generated names instead, which look the same. Then the lints about names that are
/// bound or used twice have nothing to say about the user's.
pub fn rebind(wanted: &DetachArgs, root: &TokenStream, signature: &mut Signature, rename: bool) -> TokenStream {
    let span = Span::mixed_site();
    let mut statements = TokenStream::new();
    // Arguments that cannot be parsed were refused before.
    let Ok(mut arguments) = signature.arguments() else {
        return statements;
    };
    for input in &mut arguments {
        let FnArg::Typed(argument) = input else {
            continue;
        };
        // A reference pattern such as `&(a, b)` binds values; any other pattern binds references to the parts of a
        // referenced value.
        let passing = match peeled_pattern(&argument.pat) {
            Pat::Reference(_) => Passing::Value,
            _ => Passing::of(&argument.ty),
        };
        let mut bound: Vec<Ident> = Vec::new();
        bindings::visit(&mut argument.pat, &mut |binding| {
            let passing = match binding.by_ref {
                Some(_) if binding.mutability.is_some() => Passing::MutableReference,
                Some(_) => Passing::SharedReference,
                None => passing,
            };
            if !wanted.contains(&binding.ident) || passing == Passing::MutableReference {
                return;
            }
            let PatIdent { mutability, ident, .. } = binding.clone();
            // The `mut` belongs to the name that is bound again.
            if binding.by_ref.is_none() {
                binding.mutability = None;
            }
            if rename {
                binding.ident.set_span(generated_at(ident.span()));
            }
            // Each alternative of an or-pattern binds the same names.
            if bound.contains(&ident) {
                return;
            }
            let argument = &binding.ident;
            statements.extend(if passing == Passing::Value {
                let detached = moved_to(ident.span(), &quote_spanned!(span=> #root::Detach::detached));
                quote_spanned!(span=> let #mutability #ident = #detached(#argument);)
            } else {
                let copy = format_ident!("copy_of_{}", ident.unraw(), span = span);
                let detached = moved_to(ident.span(), &quote_spanned!(span=> #root::__private::detached_copy));
                quote_spanned! {span=>
                    let #copy = #detached(#argument);
                    let #mutability #ident = #root::__private::borrowed_like(#argument, &#copy);
                }
            });
            bound.push(ident);
        });
    }
    signature.set_arguments(&arguments);
    statements
}

fn peeled_pattern(pattern: &Pat) -> &Pat {
    match pattern {
        Pat::Paren(inner) => peeled_pattern(&inner.pat),
        pattern => pattern,
    }
}

/// How an argument is passed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passing {
    Value,
    SharedReference,
    MutableReference,
}

impl Passing {
    fn of(ty: &Type) -> Self {
        match peeled(ty) {
            Type::Reference(reference) if reference.mutability.is_some() => Self::MutableReference,
            Type::Reference(_) => Self::SharedReference,
            _ => Self::Value,
        }
    }
}
