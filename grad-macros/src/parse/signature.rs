//! Signatures of functions.

use proc_macro2::{Group, Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::token::Paren;
use syn::{Abi, FnArg, Generics, Result, ReturnType, Token};

/// The signature of a function.
pub struct Signature {
    pub constness: Option<Token![const]>,
    pub asyncness: Option<Token![async]>,
    unsafety: Option<Token![unsafe]>,
    abi: Option<Abi>,
    fn_token: Token![fn],
    name: Ident,
    generics: Generics,
    /// Parsed only for attributes that change them: parsing takes time, and rustc reports errors in them.
    arguments: Group,
    pub output: ReturnType,
}

impl Signature {
    /// Parses the arguments.
    pub fn arguments(&self) -> Result<Punctuated<FnArg, Token![,]>> {
        Punctuated::parse_terminated.parse2(self.arguments.stream())
    }

    /// Replaces the arguments.
    pub fn set_arguments(&mut self, arguments: &Punctuated<FnArg, Token![,]>) {
        let span = self.arguments.span();
        self.arguments = Group::new(self.arguments.delimiter(), arguments.to_token_stream());
        self.arguments.set_span(span);
    }
}

impl Parse for Signature {
    fn parse(input: ParseStream) -> Result<Self> {
        let mut signature = Self {
            constness: input.parse()?,
            asyncness: input.parse()?,
            unsafety: input.parse()?,
            abi: input.parse()?,
            fn_token: input.parse()?,
            name: input.parse()?,
            generics: input.parse()?,
            arguments: if input.peek(Paren) {
                input.parse()?
            } else {
                return Err(input.error("expected parentheses"));
            },
            output: input.parse()?,
        };
        signature.generics.where_clause = input.parse()?;
        Ok(signature)
    }
}

impl ToTokens for Signature {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { constness, asyncness, unsafety, abi, fn_token, name, generics, arguments, output } = self;
        let clause = &generics.where_clause;
        tokens.extend(
            quote!(#constness #asyncness #unsafety #abi #fn_token #name #generics #arguments #output #clause),
        );
    }
}
