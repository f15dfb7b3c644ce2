//! `#[params::object]`: makes `Box<dyn Trait<A>>` a structure of arrays.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{ItemTrait, Path, Result, Token, TypeParamBound, parse_quote};

use super::params::array_parameter;
use crate::tokens::{default_root, error_and_item};
use crate::validate;

/// Expands the attribute.
pub fn expand(arguments: &TokenStream, item: TokenStream) -> TokenStream {
    let root = match root(arguments) {
        Ok(root) => root,
        Err(error) => return error_and_item(&error, item),
    };
    let Ok(parsed) = syn::parse2::<ItemTrait>(item.clone()) else {
        return error_and_item(&validate::derive::object_of_no_trait(&item), item);
    };
    let Some(array) = array_parameter(&parsed.generics).cloned() else {
        return error_and_item(&validate::derive::object_without_array(&parsed.ident), item);
    };
    if let Some(supertrait) = parsed.supertraits.iter().find(|supertrait| is_params(supertrait)) {
        return error_and_item(&validate::derive::object_above_params(supertrait), item);
    }
    implementation(parsed, &array, &root)
}

fn is_params(supertrait: &TypeParamBound) -> bool {
    let TypeParamBound::Trait(supertrait) = supertrait else { return false };
    supertrait.path.segments.last().is_some_and(|segment| segment.ident == "Params")
}

/// Returns the path of `grad_runtime`: that in `crate = path`, or the default.
fn root(arguments: &TokenStream) -> Result<TokenStream> {
    if arguments.is_empty() {
        return Ok(default_root());
    }
    let parse = |input: ParseStream<'_>| {
        input.parse::<Token![crate]>()?;
        input.parse::<Token![=]>()?;
        input.parse::<Path>()
    };
    parse
        .parse2(arguments.clone())
        .map(Path::into_token_stream)
        .map_err(|_| validate::derive::object_argument(arguments))
}

/// Returns the trait, with a hidden one above it that every type with arrays has, and `Params` for boxes.
fn implementation(mut item: ItemTrait, array: &Ident, root: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let (name, visibility, generics) = (item.ident.clone(), item.vis.clone(), item.generics.clone());
    let hidden = format_ident!("__{}Params", name.unraw(), span = name.span());
    let (parameters, arguments, where_clause) = generics.split_for_impl();
    item.supertraits.push(parse_quote!(#hidden #arguments));
    let mut generics_of_types = generics.clone();
    generics_of_types.params.push(parse_quote!(__T: #name #arguments + #root::Params<#array> + 'static));
    let (parameters_of_types, _, _) = generics_of_types.split_for_impl();
    let declared = &generics.params;
    let object = quote_spanned!(span=> dyn #name #arguments);
    let boxed = quote_spanned!(span=> #root::__private::Box<#object>);
    let path = quote_spanned!(span=> &#root::params::Path<'_>);
    let visit = quote_spanned!(span=> &mut #root::params::Visit<'_, #array>);
    let replace =
        quote_spanned!(span=> &mut dyn ::core::ops::FnMut(#path, &#array) -> ::core::option::Option<#array>);
    quote_spanned! {span=>
        #item

        #[doc(hidden)]
        #[diagnostic::on_unimplemented(
            message = "`{Self}` does not say which arrays it holds",
            label = "does not implement `grad_runtime::Params`, or borrows something",
            note = "write `#[derive(Params)]` for the type"
        )]
        #visibility trait #hidden <#declared> #where_clause {
            fn __visit(&self, path: #path, visit: #visit);
            fn __replace(&self, path: #path, replace: #replace) -> ::core::option::Option<#boxed>;
            fn __hash(&self, hasher: &mut dyn ::core::hash::Hasher);
        }

        #[automatically_derived]
        impl #parameters_of_types #hidden #arguments for __T #where_clause {
            fn __visit(&self, path: #path, visit: #visit) {
                #root::Params::<#array>::visit_arrays(self, path, visit);
            }

            fn __replace(&self, path: #path, replace: #replace) -> ::core::option::Option<#boxed> {
                let replaced: ::core::result::Result<__T, ()> = #root::Params::<#array>::replace_arrays(
                    self,
                    path,
                    &mut |path, array| replace(path, array).ok_or(()),
                );
                match replaced {
                    ::core::result::Result::Ok(replaced) => {
                        ::core::option::Option::Some(#root::__private::Box::new(replaced))
                    }
                    ::core::result::Result::Err(()) => ::core::option::Option::None,
                }
            }

            fn __hash(&self, mut hasher: &mut dyn ::core::hash::Hasher) {
                ::core::hash::Hash::hash(&::core::any::TypeId::of::<__T>(), &mut hasher);
                #root::Params::<#array>::hash_values(self, hasher);
            }
        }

        #[automatically_derived]
        impl #parameters #root::Params<#array> for #boxed #where_clause {
            fn visit_arrays(&self, path: #path, visit: #visit) {
                #hidden::__visit(&**self, path, visit);
            }

            fn hash_values(&self, hasher: &mut dyn ::core::hash::Hasher) {
                #hidden::__hash(&**self, hasher);
            }

            fn replace_arrays<__E>(
                &self,
                path: #path,
                replace: &mut #root::params::Replace<'_, #array, __E>,
            ) -> ::core::result::Result<Self, __E> {
                let mut error = ::core::option::Option::None;
                let replaced = #hidden::__replace(&**self, path, &mut |path, array| match replace(path, array) {
                    ::core::result::Result::Ok(array) => ::core::option::Option::Some(array),
                    ::core::result::Result::Err(first) => {
                        error = ::core::option::Option::Some(first);
                        ::core::option::Option::None
                    }
                });
                match (replaced, error) {
                    (_, ::core::option::Option::Some(error)) => ::core::result::Result::Err(error),
                    (::core::option::Option::Some(replaced), _) => ::core::result::Result::Ok(replaced),
                    (::core::option::Option::None, ::core::option::Option::None) => {
                        ::core::unreachable!("an array is replaced, or there is an error")
                    }
                }
            }
        }
    }
}
