//! The names that the pattern of a function's argument binds.

use syn::{Pat, PatIdent};

/// Calls `visit` for each binding of a pattern.
///
/// Written by hand: one of syn's visitors compiles to 300 functions, a tenth of this crate.
pub fn visit(pattern: &mut Pat, visit_binding: &mut impl FnMut(&mut PatIdent)) {
    match pattern {
        Pat::Ident(binding) => {
            visit_binding(binding);
            if let Some((_, inner)) = &mut binding.subpat {
                visit(inner, visit_binding);
            }
        }
        Pat::Or(alternatives) => alternatives.cases.iter_mut().for_each(|case| visit(case, visit_binding)),
        Pat::Paren(inner) => visit(&mut inner.pat, visit_binding),
        Pat::Reference(inner) => visit(&mut inner.pat, visit_binding),
        Pat::Slice(slice) => slice.elems.iter_mut().for_each(|element| visit(element, visit_binding)),
        Pat::Struct(pattern) => pattern.fields.iter_mut().for_each(|field| visit(&mut field.pat, visit_binding)),
        Pat::Tuple(tuple) => tuple.elems.iter_mut().for_each(|element| visit(element, visit_binding)),
        Pat::TupleStruct(tuple) => tuple.elems.iter_mut().for_each(|element| visit(element, visit_binding)),
        Pat::Type(typed) => visit(&mut typed.pat, visit_binding),
        _ => {}
    }
}
