//! `#[derive(Detach)]`: a value is detached field by field.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Fields, GenericParam, Member, Path, Result, parse_quote};

/// Expands the derive.
pub fn expand(input: TokenStream) -> TokenStream {
    syn::parse2(input).and_then(|input| implementation(&input)).unwrap_or_else(Error::into_compile_error)
}

fn implementation(input: &DeriveInput) -> Result<TokenStream> {
    let span = Span::mixed_site();
    let root = root(&input.attrs)?;
    let detach = |place, value: &TokenStream| quote_spanned!(place=> #root::Detach::detach_in_place(#value););
    let body = match &input.data {
        Data::Struct(data) => detached_fields(&data.fields)?
            .into_iter()
            .map(|(member, place)| detach(place, &quote_spanned!(place=> &mut self.#member)))
            .collect(),
        Data::Enum(data) if data.variants.is_empty() => quote_spanned!(span=> match *self {}),
        Data::Enum(data) => {
            let arms = data.variants.iter().map(|variant| {
                let name = &variant.ident;
                let (mut bindings, mut statements) = (TokenStream::new(), TokenStream::new());
                for (at, (member, place)) in detached_fields(&variant.fields)?.into_iter().enumerate() {
                    let binding = format_ident!("field_{at}", span = place);
                    bindings.extend(quote!(#member: #binding,));
                    statements.extend(detach(place, &binding.into_token_stream()));
                }
                Ok(quote_spanned!(span=> Self::#name { #bindings .. } => { #statements }))
            });
            let arms = arms.collect::<Result<Vec<_>>>()?;
            quote_spanned!(span=> match self { #(#arms)* })
        }
        Data::Union(data) => {
            let message = "`Detach` cannot be derived for a union, which does not say which field it holds\n\
                           help: write `impl Detach` by hand";
            return Err(Error::new(data.union_token.span, message));
        }
    };

    let mut generics = input.generics.clone();
    for parameter in &mut generics.params {
        if let GenericParam::Type(parameter) = parameter {
            parameter.bounds.push(parse_quote!(#root::Detach));
        }
    }
    let (parameters, _, conditions) = generics.split_for_impl();
    let (_, arguments, _) = input.generics.split_for_impl();
    let name = &input.ident;
    Ok(quote_spanned! {span=>
        #[automatically_derived]
        impl #parameters #root::Detach for #name #arguments #conditions {
            fn detach_in_place(&mut self) {
                #body
            }
        }
    })
}

/// The fields that are not skipped, each with its place: one that cannot be detached is an error at its type.
fn detached_fields(fields: &Fields) -> Result<Vec<(Member, Span)>> {
    let mut detached = Vec::new();
    for (member, field) in fields.members().zip(fields) {
        if !is_skipped(field)? {
            detached.push((member, Span::mixed_site().located_at(field.ty.span())));
        }
    }
    Ok(detached)
}

/// `#[detach(crate = path)]` on the type.
fn root(attributes: &[Attribute]) -> Result<TokenStream> {
    let mut root = quote_spanned!(Span::mixed_site()=> ::grad_runtime);
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("detach")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                let message = "`#[detach(skip)]` goes on a field\n\
                               help: on a type, `#[detach(crate = path)]` says where grad-runtime is";
                return Err(Error::new_spanned(&meta.path, message));
            }
            root = meta.value()?.parse::<Path>()?.into_token_stream();
            Ok(())
        })?;
    }
    Ok(root)
}

fn is_skipped(field: &syn::Field) -> Result<bool> {
    let mut skipped = false;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("detach")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                skipped = true;
                return Ok(());
            }
            Err(Error::new_spanned(&meta.path, "a field takes one argument\nhelp: write `#[detach(skip)]`"))
        })?;
    }
    Ok(skipped)
}
