//! The input of the derives: the variants and fields of a type, and the arguments of their attributes.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Fields, Member, Path, Result, Type, Variant};

use crate::span::generated_at;
use crate::tokens::default_root;
use crate::validate;

/// The names of a derive.
pub struct Names {
    pub trait_name: &'static str,
    /// The name of the attribute on types and fields.
    pub attribute: &'static str,
    /// Arguments of the attribute on fields besides `skip`, and the role that each gives the field.
    pub roles: &'static [(&'static str, &'static str)],
}

/// A struct, or a variant of an enum.
pub struct Shape<'a> {
    /// `Self`, or `Self::Variant`.
    pub constructor: TokenStream,
    pub fields: Vec<Field<'a>>,
}

pub struct Field<'a> {
    pub member: Member,
    pub ty: &'a Type,
    pub is_skipped: bool,
    /// The variant of `Role` that `#[params(frozen)]` or `#[params(buffer)]` gives the field.
    pub role: Option<&'static str>,
    /// At the field's type, for the error that it does not implement the trait.
    pub span: Span,
}

impl Names {
    /// Returns the path of `grad_runtime`: that in `#[detach(crate = path)]` on the type, or the default.
    pub fn root(&self, attributes: &[Attribute]) -> Result<TokenStream> {
        let mut root = default_root();
        for attribute in self.attributes(attributes) {
            attribute.parse_nested_meta(|meta| {
                if !meta.path.is_ident("crate") {
                    return Err(validate::derive::type_argument(self.attribute, &meta.path));
                }
                root = meta.value()?.parse::<Path>()?.into_token_stream();
                Ok(())
            })?;
        }
        Ok(root)
    }

    /// Returns the attributes of this derive.
    fn attributes<'a>(&self, attributes: &'a [Attribute]) -> impl Iterator<Item = &'a Attribute> {
        attributes.iter().filter(|attribute| attribute.path().is_ident(self.attribute))
    }

    /// Returns the struct, or each variant of the enum.
    pub fn shapes<'a>(&self, input: &'a DeriveInput) -> Result<Vec<Shape<'a>>> {
        let span = Span::mixed_site();
        match &input.data {
            Data::Struct(data) => Ok(vec![self.shape(quote_spanned!(span=> Self), &data.fields)?]),
            Data::Enum(data) => {
                let shape = |variant: &'a Variant| {
                    if let Some(attribute) = self.attributes(&variant.attrs).next() {
                        return Err(validate::derive::on_variant(self.attribute, attribute));
                    }
                    let name = &variant.ident;
                    self.shape(quote_spanned!(span=> Self::#name), &variant.fields)
                };
                data.variants.iter().map(shape).collect()
            }
            Data::Union(data) => Err(validate::derive::union(self.trait_name, data.union_token.span)),
        }
    }

    fn shape<'a>(&self, constructor: TokenStream, fields: &'a Fields) -> Result<Shape<'a>> {
        let field = |(member, field): (Member, &'a syn::Field)| {
            let span = generated_at(field.ty.span());
            let argument = self.argument(field)?;
            let role = self.roles.iter().find(|(name, _)| Some(*name) == argument).map(|(_, role)| *role);
            Ok(Field { member, ty: &field.ty, is_skipped: argument == Some(SKIP), role, span })
        };
        let fields = fields.members().zip(fields).map(field).collect::<Result<_>>()?;
        Ok(Shape { constructor, fields })
    }

    /// Returns what the attribute says about a field.
    fn argument(&self, field: &syn::Field) -> Result<Option<&'static str>> {
        let arguments = || self.roles.iter().map(|(name, _)| *name).chain([SKIP]);
        let mut found = None;
        for attribute in self.attributes(&field.attrs) {
            attribute.parse_nested_meta(|meta| {
                let Some(argument) = arguments().find(|name| meta.path.is_ident(name)) else {
                    let known: Vec<_> = arguments().collect();
                    return Err(validate::derive::field_argument(self.attribute, &known, &meta.path));
                };
                match found.replace(argument) {
                    Some(other) if other != argument => {
                        Err(validate::derive::two_arguments(self.attribute, [other, argument], &meta.path))
                    }
                    _ => Ok(()),
                }
            })?;
        }
        Ok(found)
    }
}

/// The argument of a field that a derive leaves out.
const SKIP: &str = "skip";
