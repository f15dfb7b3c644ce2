//! `#[derive(Params)]`: visits and replaces the arrays of a value field by field.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{DeriveInput, GenericParam, Generics, Member, Type, TypeParamBound, WherePredicate, parse_quote};

use super::fields::{Field, Shape};
use crate::types::{mentions, peeled};

/// Returns the implementation of `Params` for a type.
pub fn implementation(input: &DeriveInput, shapes: &[Shape<'_>], root: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let mut generics = input.generics.clone();
    // Without a parameter bounded by `Array`, the implementation is generic over the arrays that the fields hold.
    let parameter = array_parameter(&input.generics);
    let array = parameter.cloned().unwrap_or_else(|| {
        let array = Ident::new("__A", span);
        generics.params.push(parse_quote!(#array: #root::Array));
        array
    });

    let where_clause = generics.make_where_clause();
    for Field { ty, is_skipped, span, .. } in shapes.iter().flat_map(|shape| &shape.fields) {
        // The bound of a recursive type would depend on itself.
        if mentions(ty, |name| *name == input.ident || name == "Self") {
            continue;
        }
        let mentions_parameter = |except: Option<&Ident>| {
            mentions(ty, |name| {
                input.generics.type_params().any(|other| other.ident == *name) && Some(name) != except
            })
        };
        if *is_skipped {
            if mentions_parameter(None) {
                let bound = quote_spanned!(*span=> ::core::clone::Clone);
                where_clause.predicates.push(parse_quote!(#ty: #bound));
            }
        } else if parameter.is_none() || mentions_parameter(parameter) {
            // A field of any other type needs no bound: if it is not `Params`, that is an error here.
            let bound = quote_spanned!(*span=> #root::Params<#array>);
            where_clause.predicates.push(parse_quote!(#ty: #bound));
        }
    }

    let visits = shapes.iter().map(|shape| visit(shape, &array, root));
    let replaces = shapes.iter().map(|shape| replace(shape, &array, root));
    let hashes = shapes.iter().enumerate().map(|(index, shape)| hash(index, shape, &array, root));
    // An enum without variants has no values, and a reference to it cannot be matched without arms.
    let value = if shapes.is_empty() { quote_spanned!(span=> *self) } else { quote_spanned!(span=> self) };
    let (parameters, _, where_clause) = generics.split_for_impl();
    let (_, arguments, _) = input.generics.split_for_impl();
    let name = &input.ident;
    quote_spanned! {span=>
        #[automatically_derived]
        impl #parameters #root::Params<#array> for #name #arguments #where_clause {
            fn visit_arrays(&self, _path: &#root::params::Path<'_>, _visit: &mut #root::params::Visit<'_, #array>) {
                match #value { #(#visits)* }
            }

            fn replace_arrays<__E>(
                &self,
                _path: &#root::params::Path<'_>,
                _replace: &mut #root::params::Replace<'_, #array, __E>,
            ) -> ::core::result::Result<Self, __E> {
                match #value { #(#replaces)* }
            }

            fn hash_values(&self, _hasher: &mut dyn ::core::hash::Hasher) {
                match #value { #(#hashes)* }
            }
        }
    }
}

/// Returns the match arm that visits the fields of a shape.
fn visit(shape: &Shape<'_>, array: &Ident, root: &TokenStream) -> TokenStream {
    let Shape { constructor, fields } = shape;
    let (mut bindings, mut statements) = (TokenStream::new(), TokenStream::new());
    for (index, field) in fields.iter().enumerate().filter(|(_, field)| !field.is_skipped) {
        let Field { member, ty, span, .. } = field;
        let binding = format_ident!("field_{index}", span = *span);
        let path = path(shape, field, root);
        bindings.extend(quote!(#member: #binding,));
        statements.extend(quote_spanned! {*span=>
            <#ty as #root::Params<#array>>::visit_arrays(#binding, #path, _visit);
        });
    }
    quote_spanned!(Span::mixed_site()=> #constructor { #bindings .. } => { #statements })
}

/// Returns the match arm that replaces the fields of a shape.
fn replace(shape: &Shape<'_>, array: &Ident, root: &TokenStream) -> TokenStream {
    let Shape { constructor, fields } = shape;
    let (mut bindings, mut values) = (TokenStream::new(), TokenStream::new());
    for (index, field) in fields.iter().enumerate() {
        let Field { member, ty, is_skipped, span, .. } = field;
        let binding = format_ident!("field_{index}", span = *span);
        bindings.extend(quote!(#member: #binding,));
        let value = if *is_skipped {
            quote_spanned!(*span=> <#ty as ::core::clone::Clone>::clone(#binding))
        } else {
            let path = path(shape, field, root);
            quote_spanned!(*span=> <#ty as #root::Params<#array>>::replace_arrays(#binding, #path, _replace)?)
        };
        values.extend(quote!(#member: #value,));
    }
    quote_spanned! {Span::mixed_site()=>
        #constructor { #bindings } => ::core::result::Result::Ok(#constructor { #values }),
    }
}

/// Returns the match arm that hashes what is not an array: which variant it is, and the fields.
fn hash(index: usize, shape: &Shape<'_>, array: &Ident, root: &TokenStream) -> TokenStream {
    let Shape { constructor, fields } = shape;
    let (mut bindings, mut statements) = (TokenStream::new(), TokenStream::new());
    for (index, field) in fields.iter().enumerate().filter(|(_, field)| !field.is_skipped) {
        let Field { member, ty, span, .. } = field;
        let binding = format_ident!("field_{index}", span = *span);
        bindings.extend(quote!(#member: #binding,));
        statements.extend(quote_spanned! {*span=>
            <#ty as #root::Params<#array>>::hash_values(#binding, _hasher);
        });
    }
    quote_spanned! {Span::mixed_site()=>
        #constructor { #bindings .. } => {
            ::core::hash::Hasher::write_usize(_hasher, #index);
            #statements
        }
    }
}

/// Returns an expression for the path of a field. The only field of a tuple struct or variant, as in
/// `struct Layer(Linear)`, has the path of its owner.
fn path(shape: &Shape<'_>, field: &Field<'_>, root: &TokenStream) -> TokenStream {
    let name = match &field.member {
        Member::Unnamed(_) if shape.fields.len() == 1 => None,
        Member::Unnamed(index) => Some(index.index.to_string()),
        Member::Named(name) => Some(name.unraw().to_string()),
    };
    let path = name.map_or_else(
        || quote_spanned!(field.span=> *_path),
        |name| quote_spanned!(field.span=> #root::params::Path::then(_path, &#name)),
    );
    let Some(role) = field.role else {
        return quote_spanned!(field.span=> &#path);
    };
    let role = Ident::new(role, field.span);
    quote_spanned!(field.span=> &#root::params::Path::with_role(#path, #root::params::Role::#role))
}

/// Returns the type parameter that is bounded by `Array`, if there is exactly one.
pub fn array_parameter(generics: &Generics) -> Option<&Ident> {
    let is_array = |bound: &TypeParamBound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|last| last.ident == "Array"),
        _ => false,
    };
    let is_array_in_where_clause = |parameter: &Ident| {
        let predicates = generics.where_clause.iter().flat_map(|where_clause| &where_clause.predicates);
        predicates.into_iter().any(|predicate| match predicate {
            WherePredicate::Type(predicate) => {
                matches!(peeled(&predicate.bounded_ty), Type::Path(ty) if ty.path.is_ident(parameter))
                    && predicate.bounds.iter().any(is_array)
            }
            _ => false,
        })
    };
    let mut found = generics.params.iter().filter_map(|parameter| match parameter {
        GenericParam::Type(parameter) => (parameter.bounds.iter().any(is_array)
            || is_array_in_where_clause(&parameter.ident))
        .then_some(&parameter.ident),
        _ => None,
    });
    let first = found.next();
    if found.next().is_some() { None } else { first }
}
