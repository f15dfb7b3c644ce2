//! Functions that tell the compiler which type to expect of a body or of a closure.
//!
//! Without the attribute, the compiler takes the types of a closure's arguments from the `impl Fn(…)` of the signature. In the
//! generated code, the closure is not yet the result of the function, so it passes through a function item with the same bound.
//!
//! An item in a function does not see the lifetimes and type parameters around it. So it has lifetimes and type parameters
//! of its own, in the place of each part of a type that need not be visible.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Expr, GenericArgument, GenericParam, Lifetime, Path, PathArguments, PathSegment, ReturnType, TraitBound, Type,
    TypeParamBound, parse_quote,
};

use crate::parse::deferred_type::Closure;
use crate::tokens::is_punct;
use crate::types::{nameable, peeled};

/// Returns a function item, and a path to it. The function returns its argument, of type `ty`.
///
/// Returns `None` if the type gives the compiler nothing to expect, or if an item cannot write it.
pub fn identity(ty: &Type) -> Option<TokenStream> {
    let mut item = Item::default();
    let ty = item.result(ty)?;
    item.has_bounds.then(|| {
        let Item { lifetimes, parameters, arguments, .. } = item;
        // The names of items have no hygiene, hence the prefix.
        quote_spanned! {Span::mixed_site()=>
            fn __grad_expected<#(#lifetimes,)* #(#parameters),*>(value: #ty) -> #ty {
                value
            }
            __grad_expected::<#(#arguments),*>
        }
    })
}

/// Returns the same for a closure.
pub fn closure(closure: &Closure) -> Option<TokenStream> {
    let TraitBound { lifetimes, path, .. } = &closure.bound;
    identity(&parse_quote!(impl #lifetimes #path))
}

/// The generic parameters of the function, and the types that they stand for.
#[derive(Default)]
struct Item {
    lifetimes: Vec<Lifetime>,
    /// With their bounds.
    parameters: Vec<TokenStream>,
    arguments: Vec<TokenStream>,
    has_bounds: bool,
}

impl Item {
    /// Returns the result of the function: with a bounded parameter for each `impl Trait` to which an expected type reaches.
    ///
    /// The compiler loses it on the way into a constructor such as `Some(…)`, with the attribute and without.
    fn result(&mut self, ty: &Type) -> Option<TokenStream> {
        Some(match peeled(ty) {
            Type::ImplTrait(opaque) => {
                let bounds = opaque.bounds.iter().filter_map(|bound| match bound {
                    TypeParamBound::Trait(bound) if gives_expectation(bound) => Some(bound),
                    _ => None,
                });
                let bounds = bounds.map(|bound| self.bound(bound, &[])).collect::<Option<Vec<_>>>()?;
                self.has_bounds |= !bounds.is_empty();
                self.parameter(&bounds, quote!(_))
            }
            Type::Tuple(tuple) => {
                let elements = tuple.elems.iter().map(|ty| self.result(ty)).collect::<Option<Vec<_>>>()?;
                quote!((#(#elements,)*))
            }
            ty => self.parameter(&[], nameable(ty).into_token_stream()),
        })
    }

    /// Returns a type in the signature of a closure: with parameters for the parts without a lifetime of the closure, which is
    /// elided or has one of these names. Returns `None` if an item cannot write the type.
    fn part(&mut self, ty: &Type, names: &[Lifetime]) -> Option<TokenStream> {
        let ty = peeled(ty);
        // The lifetime bound of a trait object defaults to that of the reference around it, which a parameter would lose.
        let is_object = matches!(ty, Type::TraitObject(_));
        if !is_object && !mentions_lifetime(ty.to_token_stream(), names) {
            return Some(self.parameter(&[], ty.to_token_stream()));
        }
        Some(match ty {
            Type::Path(path) if path.qself.is_none() && is_path_of_item(&path.path) => {
                self.path(&path.path, names)?
            }
            Type::Reference(reference) => {
                let (and, mutability) = (reference.and_token, &reference.mutability);
                let lifetime = reference.lifetime.as_ref().map(|lifetime| self.lifetime(lifetime, names));
                let inner = self.unsized_part(&reference.elem, names)?;
                quote!(#and #lifetime #mutability #inner)
            }
            Type::TraitObject(object) => {
                let bounds = object.bounds.iter().map(|bound| match bound {
                    TypeParamBound::Trait(bound) => self.bound(bound, names),
                    TypeParamBound::Lifetime(lifetime) => Some(self.lifetime(lifetime, names).into_token_stream()),
                    _ => None,
                });
                let bounds = bounds.collect::<Option<Vec<_>>>()?;
                quote!((dyn #(#bounds)+*))
            }
            Type::Tuple(tuple) => {
                let elements = tuple.elems.iter().map(|ty| self.part(ty, names)).collect::<Option<Vec<_>>>()?;
                quote!((#(#elements,)*))
            }
            Type::Slice(slice) => {
                let inner = self.part(&slice.elem, names)?;
                quote!([#inner])
            }
            Type::Array(array) if matches!(array.len, Expr::Lit(_)) => {
                let (inner, len) = (self.part(&array.elem, names)?, &array.len);
                quote!([#inner; #len])
            }
            _ => return None,
        })
    }

    /// Returns the same for a type that may be unsized.
    fn unsized_part(&mut self, ty: &Type, names: &[Lifetime]) -> Option<TokenStream> {
        let count = self.parameters.len();
        let part = self.part(ty, names)?;
        // The part is a parameter, rather than a type that contains some.
        if let [parameter] = &mut self.parameters[count..]
            && parameter.to_string() == part.to_string()
        {
            *parameter = quote_spanned!(Span::mixed_site()=> #parameter: ?::core::marker::Sized);
        }
        Some(part)
    }

    fn parameter(&mut self, bounds: &[TokenStream], argument: TokenStream) -> TokenStream {
        let parameter = format_ident!("__P{}", self.parameters.len(), span = Span::mixed_site());
        self.parameters.push(if bounds.is_empty() { quote!(#parameter) } else { quote!(#parameter: #(#bounds)+*) });
        self.arguments.push(argument);
        parameter.into_token_stream()
    }

    fn bound(&mut self, bound: &TraitBound, outer: &[Lifetime]) -> Option<TokenStream> {
        let lifetimes = &bound.lifetimes;
        let binder =
            lifetimes.iter().flat_map(|binder| &binder.lifetimes).filter_map(|parameter| match parameter {
                GenericParam::Lifetime(parameter) => Some(&parameter.lifetime),
                _ => None,
            });
        let names: Vec<_> = outer.iter().chain(binder).cloned().collect();
        let path = self.path(&bound.path, &names)?;
        Some(quote!(#lifetimes #path))
    }

    fn path(&mut self, path: &Path, names: &[Lifetime]) -> Option<TokenStream> {
        let leading = &path.leading_colon;
        let segments =
            path.segments.iter().map(|segment| self.segment(segment, names)).collect::<Option<Vec<_>>>()?;
        Some(quote!(#leading #(#segments)::*))
    }

    fn segment(&mut self, segment: &PathSegment, names: &[Lifetime]) -> Option<TokenStream> {
        let name = &segment.ident;
        Some(match &segment.arguments {
            PathArguments::None => name.to_token_stream(),
            PathArguments::AngleBracketed(arguments) => {
                let arguments = arguments.args.iter().map(|argument| match argument {
                    GenericArgument::Lifetime(lifetime) => Some(self.lifetime(lifetime, names).into_token_stream()),
                    GenericArgument::Type(ty) => self.part(ty, names),
                    GenericArgument::Const(Expr::Lit(literal)) => Some(literal.to_token_stream()),
                    GenericArgument::AssocType(assoc) if assoc.generics.is_none() => {
                        let (name, ty) = (&assoc.ident, self.part(&assoc.ty, names)?);
                        Some(quote!(#name = #ty))
                    }
                    _ => None,
                });
                let arguments = arguments.collect::<Option<Vec<_>>>()?;
                quote!(#name<#(#arguments),*>)
            }
            PathArguments::Parenthesized(signature) => {
                let inputs = signature.inputs.iter().map(|input| self.part(&input.ty, names));
                let inputs = inputs.collect::<Option<Vec<_>>>()?;
                let output = match &signature.output {
                    ReturnType::Default => None,
                    ReturnType::Type(arrow, ty) => {
                        let ty = self.part(ty, names)?;
                        Some(quote!(#arrow #ty))
                    }
                };
                quote!(#name(#(#inputs),*) #output)
            }
        })
    }

    /// Declares a lifetime that is neither the closure's nor `'static`.
    fn lifetime(&mut self, lifetime: &Lifetime, names: &[Lifetime]) -> Lifetime {
        let is_known = lifetime.ident == "_" || lifetime.ident == "static" || names.contains(lifetime);
        if !is_known && !self.lifetimes.contains(lifetime) {
            self.lifetimes.push(lifetime.clone());
        }
        lifetime.clone()
    }
}

/// Returns whether the compiler takes types from this bound on a value: the arguments and the result of a closure.
fn gives_expectation(bound: &TraitBound) -> bool {
    bound.path.segments.last().is_some_and(|last| matches!(last.arguments, PathArguments::Parenthesized(_)))
}

/// Returns whether a path leads through modules only. One through a type, such as `Self::Item<'_>`, may begin with a type
/// parameter.
fn is_path_of_item(path: &Path) -> bool {
    path.segments.len() == 1
        || path.segments.first().is_some_and(|first| !first.ident.to_string().starts_with(char::is_uppercase))
}

/// Returns whether a type may contain a lifetime of the closure: `&` without a lifetime, `'_`, or one of `names`. The search
/// is for tokens: it may find one too many, but misses none.
fn mentions_lifetime(ty: TokenStream, names: &[Lifetime]) -> bool {
    let mut tokens = ty.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_found = match &token {
            TokenTree::Group(group) => mentions_lifetime(group.stream(), names),
            token if is_punct(token, '&') => !tokens.peek().is_some_and(|next| is_punct(next, '\'')),
            token if is_punct(token, '\'') => matches!(tokens.peek(), Some(TokenTree::Ident(name))
                if name == "_" || names.iter().any(|lifetime| lifetime.ident == *name)),
            _ => false,
        };
        if is_found {
            return true;
        }
    }
    false
}
