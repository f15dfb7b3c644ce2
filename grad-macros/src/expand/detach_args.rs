//! Code that detaches arguments: `detach(args)`.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::{FnArg, Pat, PatIdent, Signature, Type};

use crate::parse::bindings;
use crate::scope::DetachArgs;
use crate::span::moved_to;

/// Returns statements that bind the arguments `wanted` again, detached.
///
/// Values behind `&mut` stay as they are: they belong to the caller.
pub fn rebind(wanted: &DetachArgs, root: &TokenStream, signature: &mut Signature) -> TokenStream {
    let span = Span::mixed_site();
    let mut statements = TokenStream::new();
    for input in &mut signature.inputs {
        let FnArg::Typed(argument) = input else {
            continue;
        };
        for PatIdent { by_ref, mutability, ident, .. } in bindings::take(wanted, &mut argument.pat) {
            let passing = match (&by_ref, &*argument.pat) {
                (Some(_), _) if mutability.is_some() => Passing::MutableReference,
                (Some(_), _) => Passing::SharedReference,
                // A reference pattern such as `&(a, b)` binds values; any other pattern binds references to the parts
                // of a referenced value.
                (None, Pat::Reference(_)) => Passing::Value,
                (None, _) => Passing::of(&argument.ty),
            };
            statements.extend(match passing {
                Passing::MutableReference => continue,
                Passing::Value => {
                    let detached = moved_to(ident.span(), &quote_spanned!(span=> #root::Detach::detached));
                    quote_spanned!(span=> let #mutability #ident = #detached(#ident);)
                }
                Passing::SharedReference => {
                    let copy = format_ident!("copy_of_{ident}", span = span);
                    let detached = moved_to(ident.span(), &quote_spanned!(span=> #root::__private::detached_copy));
                    quote_spanned! {span=>
                        let #copy = #detached(#ident);
                        let #mutability #ident = #root::__private::borrowed_like(#ident, &#copy);
                    }
                }
            });
        }
    }
    statements
}

/// How an argument is passed.
enum Passing {
    Value,
    SharedReference,
    MutableReference,
}

impl Passing {
    fn of(ty: &Type) -> Self {
        match ty {
            Type::Reference(reference) if reference.mutability.is_some() => Self::MutableReference,
            Type::Reference(_) => Self::SharedReference,
            Type::Group(group) => Self::of(&group.elem),
            Type::Paren(parentheses) => Self::of(&parentheses.elem),
            _ => Self::Value,
        }
    }
}
