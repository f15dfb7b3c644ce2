//! Error messages of the derives.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::{Attribute, Error, Path, TypeParamBound};

use crate::span::first_of;

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
    let of_fields = ["skip", "frozen", "buffer"];
    let message = if let Some(name) = of_fields.into_iter().find(|name| argument.is_ident(name)) {
        format!(
            "cannot use `{name}` on a type\n\
             help: write `#[{attribute}({name})]` on a field"
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

/// Returns the error for `#[params::object]` on anything but a trait.
pub fn object_of_no_trait(item: &TokenStream) -> Error {
    let message = "`#[params::object]` is for traits\n\
                   help: write it on the trait of the boxed layers; for a struct or an enum, write `#[derive(Params)]`";
    Error::new(first_of(item), message)
}

/// Returns the error for a trait that does not say which arrays its types hold.
pub fn object_without_array(name: &Ident) -> Error {
    let message = format!(
        "the trait has no parameter for its arrays\n\
         help: write `trait {name}<A: Array>`"
    );
    Error::new_spanned(name, message)
}

/// Returns the error for a trait that requires `Params`, which no `dyn Trait` can have above it.
pub fn object_above_params(supertrait: &TypeParamBound) -> Error {
    let message = "`Params` cannot be above a trait that is boxed\n\
                   help: remove it; `#[params::object]` requires it of each type that implements the trait";
    Error::new_spanned(supertrait, message)
}

/// Returns the error for an argument of `#[params::object]`.
pub fn object_argument(arguments: &TokenStream) -> Error {
    let message = format!(
        "unknown argument `{arguments}`\n\
         help: `#[params::object(crate = path)]` sets the path of grad-runtime"
    );
    Error::new_spanned(arguments, message)
}
