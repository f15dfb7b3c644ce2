//! Attributes on an `impl` block or a trait: each method with a body is annotated as if the attribute stood there.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Error, Ident, Meta, Result, Signature, Token, Visibility};

use crate::args::{Kind, Scope};
use crate::function::{Function, annotate, is_function, parse_body, with_error};
use crate::is_punct;

/// An `impl` block or a trait. What is not a method in it is never parsed.
pub struct MethodGroup {
    pub attributes: Vec<Attribute>,
    /// After the attributes, up to the braces.
    head: TokenStream,
    keyword: Ident,
    body: Group,
}

impl MethodGroup {
    /// What comes after the attributes and the visibility, if it is an `impl` block or a trait.
    pub fn parse(attributes: &[Attribute], visibility: &Visibility, input: ParseStream) -> Option<Self> {
        let ahead = input.fork();
        let mut head = visibility.to_token_stream();
        while ahead.peek(Token![unsafe]) || ahead.peek(Token![auto]) {
            head.extend([ahead.parse::<TokenTree>().ok()?]);
        }
        if !ahead.peek(Token![impl]) && !ahead.peek(Token![trait]) {
            return None;
        }
        let keyword = ahead.call(Ident::parse_any).ok()?;
        keyword.to_tokens(&mut head);
        let mut rest: Vec<TokenTree> = ahead.parse::<TokenStream>().ok()?.into_iter().collect();
        let Some(TokenTree::Group(body)) = rest.pop() else {
            return None;
        };
        if body.delimiter() != Delimiter::Brace {
            return None;
        }
        head.extend(rest);
        input.parse::<TokenStream>().ok()?;
        Some(Self { attributes: attributes.to_vec(), head, keyword, body })
    }

    /// The group with `scope` on each of its methods that has a body and no attribute of ours.
    pub fn annotate(self, kind: Kind, scope: &Scope) -> TokenStream {
        let mut found = false;
        let split = |input: ParseStream| {
            let mut members = TokenStream::new();
            while !input.is_empty() {
                members.extend(match method(kind, input) {
                    Some(method) => {
                        found = true;
                        match method.attributes.iter().find(|attribute| hides_ours(attribute)) {
                            None => annotate(scope, &method),
                            Some(hidden) => with_error(&not_weighed(kind, hidden), &method),
                        }
                    }
                    None => next_member(kind, input)?,
                });
            }
            Ok(members)
        };
        let members = split.parse2(self.body.stream()).unwrap_or_else(|_| self.body.stream());
        let mut body = Group::new(Delimiter::Brace, members);
        body.set_span(self.body.span());
        let (attributes, head) = (self.attributes, self.head);
        let group = quote!(#(#attributes)* #head #body);
        if found {
            return group;
        }
        let name = kind.name();
        let what = if self.keyword == "impl" { "`impl` block" } else { "trait" };
        let message = format!(
            "`#[{name}]` finds nothing to annotate in this {what}\n\
             help: it goes to methods that have a body, are not `const`, and have no attribute of their own"
        );
        with_error(&Error::new(self.keyword.span(), message), group)
    }
}

impl ToTokens for MethodGroup {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attributes, head, body, .. } = self;
        tokens.extend(quote!(#(#attributes)* #head #body));
    }
}

/// A method to annotate, or else nothing is taken.
fn method(kind: Kind, input: ParseStream) -> Option<Function> {
    let ahead = input.fork();
    let attributes = ahead.call(Attribute::parse_outer).ok()?;
    if attributes.iter().any(is_ours) {
        return None;
    }
    let visibility = ahead.parse().ok()?;
    let defaultness = ahead.peek(Token![default]).then(|| ahead.call(Ident::parse_any)).transpose().ok()?;
    if !is_function(&ahead) {
        return None;
    }
    let signature: Signature = ahead.parse().ok()?;
    if signature.constness.is_some() {
        return None;
    }
    let body = parse_body(kind, &ahead).ok()?;
    input.advance_to(&ahead);
    Some(Function { attributes, visibility, defaultness, signature, body })
}

/// An error about an attribute of which nobody knows yet whether it will be there.
fn not_weighed(kind: Kind, hidden: &Attribute) -> Error {
    let name = kind.name();
    let message = format!(
        "an attribute in `cfg_attr` cannot be weighed against the `#[{name}]` on the whole block\n\
         help: move this method to a block of its own"
    );
    Error::new_spanned(hidden, message)
}

/// Whether it is a `cfg_attr` with one of ours in it.
fn hides_ours(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    let is_ours = |token| matches!(token, TokenTree::Ident(word) if Kind::named(&word).is_some());
    list.path.is_ident("cfg_attr") && list.tokens.clone().into_iter().any(is_ours)
}

fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|segment| Kind::named(&segment.ident).is_some())
}

/// The tokens of a member that is left as it is.
fn next_member(kind: Kind, input: ParseStream) -> Result<TokenStream> {
    if let Some(function) = function_as_it_is(kind, input) {
        return Ok(function);
    }
    // `const X: T = { … };` ends after its braces, and so may a type.
    let ahead = input.fork();
    ahead.call(Attribute::parse_outer)?;
    ahead.parse::<Visibility>()?;
    let is_value = ahead.peek(Token![const]) || ahead.peek(Token![type]) || ahead.peek(Token![static]);
    let mut member = TokenStream::new();
    while !input.is_empty() {
        let token: TokenTree = input.parse()?;
        let ends = match &token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_value,
            token => is_punct(token, ';'),
        };
        member.extend([token]);
        if ends {
            break;
        }
    }
    Ok(member)
}

/// A function up to its end, or else nothing is taken. Its signature tells where it ends: `=` and braces may stand in it.
fn function_as_it_is(kind: Kind, input: ParseStream) -> Option<TokenStream> {
    let ahead = input.fork();
    let attributes = ahead.call(Attribute::parse_outer).ok()?;
    let visibility: Visibility = ahead.parse().ok()?;
    let defaultness = ahead.peek(Token![default]).then(|| ahead.call(Ident::parse_any)).transpose().ok()?;
    if !is_function(&ahead) {
        return None;
    }
    let signature: Signature = ahead.parse().ok()?;
    let end = match ahead.parse::<Option<Token![;]>>().ok()? {
        Some(semicolon) => semicolon.into_token_stream(),
        None => parse_body(kind, &ahead).ok()?.into_token_stream(),
    };
    input.advance_to(&ahead);
    Some(quote!(#(#attributes)* #visibility #defaultness #signature #end))
}
