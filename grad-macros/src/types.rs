//! Small helpers for types.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, Path, PathArguments, ReturnType, Type, TypeParamBound, parse_quote};

/// Returns the type inside parentheses, and inside the invisible group in which a `$ty:ty` of a `macro_rules!` arrives.
///
/// Each `match` on a type goes through this function.
pub fn peeled(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peeled(&group.elem),
        Type::Paren(parentheses) => peeled(&parentheses.elem),
        ty => ty,
    }
}

/// Returns whether a type is `!`.
pub fn is_never(ty: &Type) -> bool {
    matches!(peeled(ty), Type::Never(_))
}

/// Returns whether a type contains `impl Trait`.
pub fn is_opaque(ty: &Type) -> bool {
    mentions(ty, |word| word == "impl")
}

/// Returns whether a type contains a word for which `is_wanted` is true.
pub fn mentions(ty: &Type, is_wanted: impl Fn(&Ident) -> bool + Copy) -> bool {
    fn in_tokens(tokens: TokenStream, is_wanted: impl Fn(&Ident) -> bool + Copy) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(word) => is_wanted(&word),
            TokenTree::Group(group) => in_tokens(group.stream(), is_wanted),
            _ => false,
        })
    }
    in_tokens(ty.to_token_stream(), is_wanted)
}

/// Returns the type of a function's result as its body can write it.
pub fn nameable_output(output: &ReturnType) -> Type {
    match output {
        ReturnType::Type(_, ty) => nameable(ty),
        ReturnType::Default => parse_quote!(_),
    }
}

/// Returns a type as a function body can write it: with `_` for each `impl Trait`.
pub fn nameable(ty: &Type) -> Type {
    let mut ty = ty.clone();
    infer_opaque(&mut ty);
    ty
}
/// Replaces `impl Trait` by `_`, wherever a return type may contain it.
///
/// Written by hand: one of syn's visitors compiles to 300 functions, a tenth of this crate.
fn infer_opaque(ty: &mut Type) {
    match ty {
        Type::ImplTrait(_) => *ty = parse_quote!(_),
        Type::Array(array) => infer_opaque(&mut array.elem),
        Type::Group(group) => infer_opaque(&mut group.elem),
        Type::Paren(parentheses) => infer_opaque(&mut parentheses.elem),
        Type::Path(path) => infer_opaque_arguments(&mut path.path),
        Type::Ptr(pointer) => infer_opaque(&mut pointer.elem),
        Type::Reference(reference) => infer_opaque(&mut reference.elem),
        Type::Slice(slice) => infer_opaque(&mut slice.elem),
        Type::TraitObject(object) => {
            for bound in &mut object.bounds {
                if let TypeParamBound::Trait(bound) = bound {
                    infer_opaque_arguments(&mut bound.path);
                }
            }
        }
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(infer_opaque),
        _ => {}
    }
}

fn infer_opaque_arguments(path: &mut Path) {
    for segment in &mut path.segments {
        match &mut segment.arguments {
            PathArguments::None => {}
            PathArguments::AngleBracketed(arguments) => {
                for argument in &mut arguments.args {
                    match argument {
                        GenericArgument::Type(ty) => infer_opaque(ty),
                        GenericArgument::AssocType(assoc) => infer_opaque(&mut assoc.ty),
                        _ => {}
                    }
                }
            }
            // rustc rejects `impl Trait` here. Replaced, it is not rejected once more in the body.
            PathArguments::Parenthesized(signature) => {
                signature.inputs.iter_mut().for_each(|input| infer_opaque(&mut input.ty));
                if let ReturnType::Type(_, ty) = &mut signature.output {
                    infer_opaque(ty);
                }
            }
        }
    }
}
