//! Small helpers for types.

use syn::{GenericArgument, Path, PathArguments, ReturnType, Type, TypeParamBound, parse_quote};

/// Returns whether a type is `!`.
///
/// A `$ty:ty` of a `macro_rules!` arrives in a group without delimiters, hence the recursion.
pub fn is_never(ty: &Type) -> bool {
    match ty {
        Type::Never(_) => true,
        Type::Group(group) => is_never(&group.elem),
        Type::Paren(parentheses) => is_never(&parentheses.elem),
        _ => false,
    }
}

/// Returns the type of a function's result as its body can write it: with `_` for each `impl Trait`.
pub fn nameable(output: &ReturnType) -> Type {
    match output {
        ReturnType::Type(_, ty) => {
            let mut ty = (**ty).clone();
            infer_opaque(&mut ty);
            ty
        }
        ReturnType::Default => parse_quote!(_),
    }
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
