//! `#[derive(Detach)]`: detaches a value field by field.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{DeriveInput, GenericParam, parse_quote};

use super::fields::Shape;

/// Returns the implementation of `Detach` for a type.
pub fn implementation(input: &DeriveInput, shapes: &[Shape<'_>], root: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let arms = shapes.iter().map(|Shape { constructor, fields }| {
        let (mut bindings, mut statements) = (TokenStream::new(), TokenStream::new());
        for (index, field) in fields.iter().enumerate().filter(|(_, field)| !field.is_skipped) {
            let binding = format_ident!("field_{index}", span = field.span);
            let member = &field.member;
            bindings.extend(quote!(#member: #binding,));
            statements.extend(quote_spanned!(field.span=> #root::Detach::detach_in_place(#binding);));
        }
        quote_spanned!(span=> #constructor { #bindings .. } => { #statements })
    });
    let body = if shapes.is_empty() {
        quote_spanned!(span=> match *self {})
    } else {
        quote_spanned!(span=> match self { #(#arms)* })
    };

    let mut generics = input.generics.clone();
    for parameter in &mut generics.params {
        if let GenericParam::Type(parameter) = parameter {
            parameter.bounds.push(parse_quote!(#root::Detach));
        }
    }
    let (parameters, _, where_clause) = generics.split_for_impl();
    let (_, arguments, _) = input.generics.split_for_impl();
    let name = &input.ident;
    quote_spanned! {span=>
        #[automatically_derived]
        impl #parameters #root::Detach for #name #arguments #where_clause {
            fn detach_in_place(&mut self) {
                #body
            }
        }
    }
}
