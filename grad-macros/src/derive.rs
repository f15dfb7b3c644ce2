//! `#[derive(Detach)]`: a value is detached field by field.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Fields, GenericParam, Index, Path, Result, parse_quote};

/// Expands the derive.
pub fn expand(input: TokenStream) -> TokenStream {
    syn::parse2(input).and_then(|input| implementation(&input)).unwrap_or_else(Error::into_compile_error)
}

fn implementation(input: &DeriveInput) -> Result<TokenStream> {
    let span = Span::mixed_site();
    let root = root(&input.attrs)?;
    let detached = |fields: &Fields, access: &dyn Fn(usize, &syn::Field) -> TokenStream| -> Result<TokenStream> {
        let mut statements = TokenStream::new();
        for (at, field) in fields.iter().enumerate() {
            if !is_skipped(field)? {
                let value = access(at, field);
                // A field that cannot be detached is an error at its type.
                let call =
                    quote_spanned!(span.located_at(field.ty.span())=> #root::Detach::detach_in_place(#value););
                statements.extend(call);
            }
        }
        Ok(statements)
    };
    let body = match &input.data {
        Data::Struct(data) => detached(&data.fields, &|at, field| {
            let name = field.ident.as_ref().map_or_else(
                || Index { index: u32::try_from(at).unwrap_or_default(), span }.into_token_stream(),
                ToTokens::to_token_stream,
            );
            quote_spanned!(span.located_at(field.ty.span())=> &mut self.#name)
        })?,
        Data::Enum(data) if data.variants.is_empty() => quote_spanned!(span=> match *self {}),
        Data::Enum(data) => {
            let binding = |at| format_ident!("field_{}", at, span = span);
            let arms = data.variants.iter().map(|variant| {
                let name = &variant.ident;
                let mut bindings = Vec::new();
                for (at, field) in variant.fields.iter().enumerate() {
                    if !is_skipped(field)? {
                        let member = field.ident.as_ref().map_or_else(
                            || Index { index: u32::try_from(at).unwrap_or_default(), span }.into_token_stream(),
                            ToTokens::to_token_stream,
                        );
                        let binding = binding(at);
                        bindings.push(quote!(#member: #binding));
                    }
                }
                let statements = detached(&variant.fields, &|at, field| {
                    let mut binding = binding(at);
                    binding.set_span(span.located_at(field.ty.span()));
                    binding.into_token_stream()
                })?;
                Ok(quote_spanned!(span=> Self::#name { #(#bindings,)* .. } => { #statements }))
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
