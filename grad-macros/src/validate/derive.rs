//! Error messages of the derives.

use proc_macro2::Span;
use quote::ToTokens;
use syn::{Attribute, Error, Path};

/// Returns the error for deriving `trait_name` for a union.
pub fn union(trait_name: &str, span: Span) -> Error {
    let message = format!(
        "cannot derive `{trait_name}` for a union: it does not record which field is in use\n\
         help: write `impl {trait_name}` by hand"
    );
    Error::new(span, message)
}

/// Returns the error for an argument that a type does not take.
pub fn type_argument(attribute: &str, argument: &Path) -> Error {
    let message = if argument.is_ident("skip") {
        format!(
            "cannot use `skip` on a type\n\
             help: write `#[{attribute}(skip)]` on a field"
        )
    } else {
        format!(
            "unknown argument `{}` on a type\n\
             help: `#[{attribute}(crate = path)]` sets the path of grad-runtime",
            argument.to_token_stream()
        )
    };
    Error::new_spanned(argument, message)
}

/// Returns the error for an argument that a field does not take, given those that it takes.
pub fn field_argument(attribute: &str, known: &[&str], argument: &Path) -> Error {
    let known: Vec<_> = known.iter().map(|known| format!("`#[{attribute}({known})]`")).collect();
    let message = format!(
        "unknown argument `{}` on a field\n\
         help: write {}",
        argument.to_token_stream(),
        known.join(" or ")
    );
    Error::new_spanned(argument, message)
}

/// Returns the error for two arguments of a field of which only one can hold.
pub fn two_arguments(attribute: &str, arguments: [&str; 2], second: &Path) -> Error {
    let [first, other] = arguments;
    let message = format!(
        "a field cannot be both `{first}` and `{other}`\n\
         help: write `#[{attribute}({first})]` or `#[{attribute}({other})]`"
    );
    Error::new_spanned(second, message)
}

/// Returns the error for an attribute on a variant of an enum.
pub fn on_variant(name: &str, attribute: &Attribute) -> Error {
    let message = format!(
        "cannot use `#[{name}]` on a variant\n\
         help: write `#[{name}(skip)]` on each of its fields"
    );
    Error::new_spanned(attribute, message)
}
