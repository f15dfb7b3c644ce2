//! The derives. Both handle a value field by field.

use proc_macro2::TokenStream;
use syn::{DeriveInput, Error};

mod detach;
mod fields;
pub mod object;
mod params;

use fields::{Names, Shape};

/// A derive: its names, and the function that writes the implementation for a type.
pub struct Derive {
    names: Names,
    implementation: fn(&DeriveInput, &[Shape<'_>], &TokenStream) -> TokenStream,
}

pub const DETACH: Derive = Derive {
    names: Names { trait_name: "Detach", attribute: "detach", roles: &[] },
    implementation: detach::implementation,
};
pub const PARAMS: Derive = Derive {
    names: Names {
        trait_name: "Params",
        attribute: "params",
        roles: &[("frozen", "Frozen"), ("buffer", "Buffer")],
    },
    implementation: params::implementation,
};

impl Derive {
    /// Expands the derive.
    pub fn expand(&self, input: TokenStream) -> TokenStream {
        let expand = |input: DeriveInput| {
            let root = self.names.root(&input.attrs)?;
            let shapes = self.names.shapes(&input)?;
            Ok((self.implementation)(&input, &shapes, &root))
        };
        syn::parse2(input).and_then(expand).unwrap_or_else(Error::into_compile_error)
    }
}
