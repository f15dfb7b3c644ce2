//! `#[derive(Params)]`: arrays are visited and replaced field by field.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::{DeriveInput, GenericParam, Generics, Member, Type, TypeParamBound, WherePredicate, parse_quote};

use super::{Field, Shape};

pub fn implementation(input: &DeriveInput, shapes: &[Shape<'_>], root: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let mut generics = input.generics.clone();
    // The arrays are those of the parameter bounded by `Array`. Where there is none, they are what the fields hold.
    let parameter = array_parameter(&input.generics);
    let array = parameter.cloned().unwrap_or_else(|| {
        let array = Ident::new("__A", span);
        generics.params.push(parse_quote!(#array: #root::Array));
        array
    });

    let conditions = generics.make_where_clause();
    for Field { ty, is_skipped, place, .. } in shapes.iter().flat_map(|shape| &shape.fields) {
        // A type that holds itself would be its own condition.
        if mentions(ty, |name| *name == input.ident || name == "Self") {
            continue;
        }
        let depends = |but: Option<&Ident>| {
            mentions(ty, |name| input.generics.type_params().any(|other| other.ident == *name) && Some(name) != but)
        };
        if *is_skipped {
            if depends(None) {
                let bound = quote_spanned!(*place=> ::core::clone::Clone);
                conditions.predicates.push(parse_quote!(#ty: #bound));
            }
        } else if parameter.is_none() || depends(parameter) {
            // A field that depends on nothing else need be no condition: it is an error here if it does not hold.
            let bound = quote_spanned!(*place=> #root::Params<#array>);
            conditions.predicates.push(parse_quote!(#ty: #bound));
        }
    }

    let visits = shapes.iter().map(|shape| visit(shape, &array, root));
    let replaces = shapes.iter().map(|shape| replace(shape, &array, root));
    // There is no value of an enum without variants.
    let value = if shapes.is_empty() { quote_spanned!(span=> *self) } else { quote_spanned!(span=> self) };
    let (parameters, _, conditions) = generics.split_for_impl();
    let (_, arguments, _) = input.generics.split_for_impl();
    let name = &input.ident;
    quote_spanned! {span=>
        #[automatically_derived]
        impl #parameters #root::Params<#array> for #name #arguments #conditions {
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
        }
    }
}

fn visit(shape: &Shape<'_>, array: &Ident, root: &TokenStream) -> TokenStream {
    let Shape { constructor, fields } = shape;
    let (mut bindings, mut statements) = (TokenStream::new(), TokenStream::new());
    for (at, field) in fields.iter().enumerate().filter(|(_, field)| !field.is_skipped) {
        let Field { member, ty, place, .. } = field;
        let binding = format_ident!("field_{at}", span = *place);
        let path = path(shape, field, root);
        bindings.extend(quote!(#member: #binding,));
        statements.extend(quote_spanned! {*place=>
            <#ty as #root::Params<#array>>::visit_arrays(#binding, #path, _visit);
        });
    }
    quote_spanned!(Span::mixed_site()=> #constructor { #bindings .. } => { #statements })
}

fn replace(shape: &Shape<'_>, array: &Ident, root: &TokenStream) -> TokenStream {
    let Shape { constructor, fields } = shape;
    let (mut bindings, mut values) = (TokenStream::new(), TokenStream::new());
    for (at, field) in fields.iter().enumerate() {
        let Field { member, ty, is_skipped, place } = field;
        let binding = format_ident!("field_{at}", span = *place);
        bindings.extend(quote!(#member: #binding,));
        let value = if *is_skipped {
            quote_spanned!(*place=> <#ty as ::core::clone::Clone>::clone(#binding))
        } else {
            let path = path(shape, field, root);
            quote_spanned!(*place=> <#ty as #root::Params<#array>>::replace_arrays(#binding, #path, _replace)?)
        };
        values.extend(quote!(#member: #value,));
    }
    quote_spanned! {Span::mixed_site()=>
        #constructor { #bindings } => ::core::result::Result::Ok(#constructor { #values }),
    }
}

/// The path to a field. The one field of `struct Layer(Linear)` or of `Layer::Linear(…)` has its owner's.
fn path(shape: &Shape<'_>, field: &Field<'_>, root: &TokenStream) -> TokenStream {
    let name = match &field.member {
        Member::Unnamed(_) if shape.fields.len() == 1 => return quote_spanned!(field.place=> _path),
        Member::Unnamed(index) => index.index.to_string(),
        Member::Named(name) => name.unraw().to_string(),
    };
    quote_spanned!(field.place=> &#root::params::Path::then(_path, &#name))
}

/// The one type parameter that is bounded by `Array`.
fn array_parameter(generics: &Generics) -> Option<&Ident> {
    let is_array = |bound: &TypeParamBound| matches!(bound, TypeParamBound::Trait(bound) if bound.path.segments.last().is_some_and(|last| last.ident == "Array"));
    let in_conditions = |parameter: &Ident| {
        generics.where_clause.iter().flat_map(|conditions| &conditions.predicates).any(
            |condition| match condition {
                WherePredicate::Type(condition) => {
                    matches!(&condition.bounded_ty, Type::Path(ty) if ty.path.is_ident(parameter))
                        && condition.bounds.iter().any(is_array)
                }
                _ => false,
            },
        )
    };
    let mut found = generics.params.iter().filter_map(|parameter| match parameter {
        GenericParam::Type(parameter) => {
            (parameter.bounds.iter().any(is_array) || in_conditions(&parameter.ident)).then_some(&parameter.ident)
        }
        _ => None,
    });
    let first = found.next();
    if found.next().is_some() { None } else { first }
}

/// Whether a name in `ty` is one of those.
fn mentions(ty: &Type, is_one: impl Fn(&Ident) -> bool + Copy) -> bool {
    fn in_tokens(tokens: TokenStream, is_one: impl Fn(&Ident) -> bool + Copy) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(name) => is_one(&name),
            TokenTree::Group(group) => in_tokens(group.stream(), is_one),
            _ => false,
        })
    }
    in_tokens(ty.to_token_stream(), is_one)
}
