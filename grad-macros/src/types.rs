//! Small helpers for types.

use syn::visit_mut::{VisitMut, visit_type_mut};
use syn::{ReturnType, Type};

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
    let mut ty = match output {
        ReturnType::Type(_, ty) => (**ty).clone(),
        ReturnType::Default => syn::parse_quote!(_),
    };
    InferOpaque.visit_type_mut(&mut ty);
    ty
}

/// Replaces `impl Trait` by `_`.
struct InferOpaque;

impl VisitMut for InferOpaque {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if matches!(ty, Type::ImplTrait(_)) {
            *ty = syn::parse_quote!(_);
        } else {
            visit_type_mut(self, ty);
        }
    }
}
