//! The names that the pattern of a function's argument binds.

use syn::{Pat, PatIdent};

use crate::scope::DetachArgs;

/// Returns the bindings of a pattern that `wanted` names, and takes their `mut` away: it belongs to the names that are
/// bound again in the body.
pub fn take(wanted: &DetachArgs, pattern: &mut Pat) -> Vec<PatIdent> {
    let mut found = Vec::new();
    collect(wanted, pattern, &mut found);
    found
}

// Written by hand: one of syn's visitors compiles to 300 functions, a tenth of this crate.
fn collect(wanted: &DetachArgs, pattern: &mut Pat, found: &mut Vec<PatIdent>) {
    match pattern {
        Pat::Ident(binding) => {
            if wanted.contains(&binding.ident) {
                found.push(binding.clone());
                if binding.by_ref.is_none() {
                    binding.mutability = None;
                }
            }
            if let Some((_, inner)) = &mut binding.subpat {
                collect(wanted, inner, found);
            }
        }
        Pat::Or(alternatives) => collect_all(wanted, &mut alternatives.cases, found),
        Pat::Paren(inner) => collect(wanted, &mut inner.pat, found),
        Pat::Reference(inner) => collect(wanted, &mut inner.pat, found),
        Pat::Slice(slice) => collect_all(wanted, &mut slice.elems, found),
        Pat::Struct(pattern) => {
            for field in &mut pattern.fields {
                collect(wanted, &mut field.pat, found);
            }
        }
        Pat::Tuple(tuple) => collect_all(wanted, &mut tuple.elems, found),
        Pat::TupleStruct(tuple) => collect_all(wanted, &mut tuple.elems, found),
        Pat::Type(typed) => collect(wanted, &mut typed.pat, found),
        _ => {}
    }
}

fn collect_all<'a>(
    wanted: &DetachArgs,
    patterns: impl IntoIterator<Item = &'a mut Pat>,
    found: &mut Vec<PatIdent>,
) {
    for pattern in patterns {
        collect(wanted, pattern, found);
    }
}
