//! The derives: a value is taken field by field. What they share is here, their code beside.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Fields, Member, Path, Result, Type};

mod detach;
mod params;

/// A derive: the trait's name, the name of its attribute, and the implementation that it writes for a type.
pub struct Derive {
    implemented: &'static str,
    attribute: &'static str,
    implementation: fn(&DeriveInput, &[Shape<'_>], &TokenStream) -> TokenStream,
}

pub const DETACH: Derive =
    Derive { implemented: "Detach", attribute: "detach", implementation: detach::implementation };
pub const PARAMS: Derive =
    Derive { implemented: "Params", attribute: "params", implementation: params::implementation };

impl Derive {
    /// Expands the derive.
    pub fn expand(&self, input: TokenStream) -> TokenStream {
        let expand = |input: DeriveInput| {
            let root = self.root(&input.attrs)?;
            let shapes = self.shapes(&input)?;
            Ok((self.implementation)(&input, &shapes, &root))
        };
        syn::parse2(input).and_then(expand).unwrap_or_else(Error::into_compile_error)
    }

    /// `#[detach(crate = path)]` on the type.
    fn root(&self, attributes: &[Attribute]) -> Result<TokenStream> {
        let mut root = quote_spanned!(Span::mixed_site()=> ::grad_runtime);
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(self.attribute)) {
            attribute.parse_nested_meta(|meta| {
                if !meta.path.is_ident("crate") {
                    let name = self.attribute;
                    let message = format!(
                        "`#[{name}(skip)]` goes on a field\n\
                         help: on a type, `#[{name}(crate = path)]` says where grad-runtime is"
                    );
                    return Err(Error::new_spanned(&meta.path, message));
                }
                root = meta.value()?.parse::<Path>()?.into_token_stream();
                Ok(())
            })?;
        }
        Ok(root)
    }

    /// The struct, or each variant of the enum.
    fn shapes<'a>(&self, input: &'a DeriveInput) -> Result<Vec<Shape<'a>>> {
        let span = Span::mixed_site();
        match &input.data {
            Data::Struct(data) => Ok(vec![self.shape(quote_spanned!(span=> Self), &data.fields)?]),
            Data::Enum(data) => {
                let shape = |variant: &'a syn::Variant| {
                    let name = &variant.ident;
                    self.shape(quote_spanned!(span=> Self::#name), &variant.fields)
                };
                data.variants.iter().map(shape).collect()
            }
            Data::Union(data) => {
                let name = self.implemented;
                let message = format!(
                    "`{name}` cannot be derived for a union, which does not say which field it holds\n\
                     help: write `impl {name}` by hand"
                );
                Err(Error::new(data.union_token.span, message))
            }
        }
    }

    fn shape<'a>(&self, constructor: TokenStream, fields: &'a Fields) -> Result<Shape<'a>> {
        let field = |(member, field): (Member, &'a syn::Field)| {
            let place = Span::mixed_site().located_at(field.ty.span());
            Ok(Field { member, ty: &field.ty, is_skipped: self.is_skipped(field)?, place })
        };
        let fields = fields.members().zip(fields).map(field).collect::<Result<_>>()?;
        Ok(Shape { constructor, fields })
    }

    fn is_skipped(&self, field: &syn::Field) -> Result<bool> {
        let mut skipped = false;
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident(self.attribute)) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("skip") {
                    skipped = true;
                    return Ok(());
                }
                let message = format!("a field takes one argument\nhelp: write `#[{}(skip)]`", self.attribute);
                Err(Error::new_spanned(&meta.path, message))
            })?;
        }
        Ok(skipped)
    }
}

/// A struct, or a variant of an enum.
struct Shape<'a> {
    /// `Self`, or `Self::Variant`.
    constructor: TokenStream,
    fields: Vec<Field<'a>>,
}

struct Field<'a> {
    member: Member,
    ty: &'a Type,
    is_skipped: bool,
    /// The field's type, for errors: one that does not implement the trait is an error there.
    place: Span,
}
