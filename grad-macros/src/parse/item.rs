//! The items under an attribute: a function, or the methods of an `impl` block or a trait.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::token::Brace;
use syn::{Attribute, LitStr, Result, Token, Visibility};

use super::signature::Signature;
use crate::tokens::{in_braces, is_punct};

/// An item under an attribute.
pub enum Item {
    Function(Box<Function>),
    Methods(MethodBlock),
    /// Something that takes no attribute, and the token that shows it.
    Other(OtherItem, Span),
}

/// The kinds of items and expressions that take no attribute.
pub enum OtherItem {
    FunctionWithoutBody,
    AsyncBlock,
    Closure,
    /// An item that begins with this word, or an expression.
    Keyword(String),
}

/// A function with a body.
pub struct Function {
    pub attributes: Vec<Attribute>,
    pub visibility: Visibility,
    pub defaultness: Option<Ident>,
    pub signature: Signature,
    /// Never parsed as a whole: an incomplete body still gives a function, and errors in it are reported by rustc.
    pub body: Group,
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attributes, visibility, defaultness, signature, body } = self;
        tokens.extend(quote!(#(#attributes)* #visibility #defaultness #signature #body));
    }
}

/// An `impl` block or a trait.
pub struct MethodBlock {
    pub attributes: Vec<Attribute>,
    /// Everything between the attributes and the braces.
    pub head: TokenStream,
    /// `impl` or `trait`.
    pub keyword: Ident,
    pub body: Group,
}

impl ToTokens for MethodBlock {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attributes, head, body, .. } = self;
        tokens.extend(quote!(#(#attributes)* #head #body));
    }
}

/// A member of an `impl` block or a trait.
pub enum Member {
    Method(Box<Function>),
    /// Anything else; never parsed.
    Other(TokenStream),
}

/// Parses an item.
pub fn parse(item: TokenStream) -> Result<Item> {
    let (item, body) = without_body(item);
    let mut item = parse_without_body.parse2(item)?;
    if let Some(body) = body {
        match &mut item {
            Item::Function(function) => function.body = body,
            Item::Methods(methods) => methods.body = body,
            Item::Other(..) => {}
        }
    }
    Ok(item)
}

/// Splits off the body that an item ends with, if it does, and leaves empty braces: the parser would first copy every token in it.
fn without_body(item: TokenStream) -> (TokenStream, Option<Group>) {
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    let body = tokens.last().and_then(|last| body_in(last.clone()));
    if let (Some(last), Some(body)) = (tokens.last_mut(), &body) {
        *last = in_braces(body.span(), TokenStream::new()).into();
    }
    (tokens.into_iter().collect(), body)
}

fn parse_without_body(input: ParseStream) -> Result<Item> {
    let attributes = input.call(Attribute::parse_outer)?;
    let visibility = input.parse()?;
    if let Some(methods) = parse_method_block(&attributes, &visibility, input) {
        return Ok(Item::Methods(methods));
    }
    if !is_function(input) {
        let (other, span) = parse_other(input);
        input.parse::<TokenStream>()?;
        return Ok(Item::Other(other, span));
    }
    let signature: Signature = input.parse()?;
    let span = input.span();
    let Some(body) = body_in(input.parse()?) else {
        input.parse::<TokenStream>()?;
        return Ok(Item::Other(OtherItem::FunctionWithoutBody, span));
    };
    Ok(Item::Function(Box::new(Function { attributes, visibility, defaultness: None, signature, body })))
}

/// Returns whether a function comes next, after its attributes and visibility.
fn is_function(input: ParseStream) -> bool {
    let ahead = input.fork();
    while ahead.peek(Token![const])
        || ahead.peek(Token![async])
        || ahead.peek(Token![unsafe])
        || ahead.peek(Token![extern])
        || ahead.peek(LitStr)
    {
        if ahead.parse::<TokenTree>().is_err() {
            return false;
        }
    }
    ahead.peek(Token![fn])
}

/// Returns the body that a token is. A `$body:block` of a `macro_rules!` arrives in a group without delimiters.
fn body_in(token: TokenTree) -> Option<Group> {
    let TokenTree::Group(group) = token else {
        return None;
    };
    match group.delimiter() {
        Delimiter::Brace => Some(group),
        Delimiter::None => syn::parse2(group.stream()).ok().and_then(body_in),
        _ => None,
    }
}

/// Determines what stands in the place of a function.
fn parse_other(input: ParseStream) -> (OtherItem, Span) {
    // In `unsafe impl` and `auto trait`, the second word shows what it is.
    let ahead = input.fork();
    if ahead.peek(Token![unsafe]) || ahead.peek(Token![auto]) {
        let _: Result<TokenTree> = ahead.parse();
    }
    let span = ahead.span();
    if ahead.peek(Token![async]) && (ahead.peek2(Brace) || ahead.peek2(Token![move]) && ahead.peek3(Brace)) {
        return (OtherItem::AsyncBlock, span);
    }
    if ahead.peek(Token![|]) || ahead.peek(Token![||]) || ahead.peek(Token![move]) || ahead.peek(Token![async]) {
        return (OtherItem::Closure, span);
    }
    let keyword = ahead.call(Ident::parse_any).map(|word| word.to_string()).unwrap_or_default();
    // Only functions in `extern` blocks are `safe`, and they have no body.
    let other = if keyword == "safe" { OtherItem::FunctionWithoutBody } else { OtherItem::Keyword(keyword) };
    (other, span)
}

/// Parses an `impl` block or a trait after its visibility; if it is neither, the input stays as it is.
fn parse_method_block(
    attributes: &[Attribute],
    visibility: &Visibility,
    input: ParseStream,
) -> Option<MethodBlock> {
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
    Some(MethodBlock { attributes: attributes.to_vec(), head, keyword, body })
}

/// Parses the members in the braces of an `impl` block or a trait.
pub fn parse_members(body: TokenStream) -> Result<Vec<Member>> {
    (|input: ParseStream| {
        let mut members = Vec::new();
        while !input.is_empty() {
            members.push(match parse_function(input) {
                Some(function) => function,
                None => Member::Other(parse_other_member(input)?),
            });
        }
        Ok(members)
    })
    .parse2(body)
}

/// Parses a function with or without a body; if it is none, the input stays as it is.
fn parse_function(input: ParseStream) -> Option<Member> {
    let ahead = input.fork();
    let attributes = ahead.call(Attribute::parse_outer).ok()?;
    let visibility = ahead.parse().ok()?;
    let defaultness = ahead.peek(Token![default]).then(|| ahead.call(Ident::parse_any)).transpose().ok()?;
    if !is_function(&ahead) {
        return None;
    }
    let signature: Signature = ahead.parse().ok()?;
    let function = if let Some(semicolon) = ahead.parse::<Option<Token![;]>>().ok()? {
        Member::Other(quote!(#(#attributes)* #visibility #defaultness #signature #semicolon))
    } else {
        let body = body_in(ahead.parse().ok()?)?;
        Member::Method(Box::new(Function { attributes, visibility, defaultness, signature, body }))
    };
    input.advance_to(&ahead);
    Some(function)
}

/// Parses the tokens of a member that is not a function, or is incomplete.
fn parse_other_member(input: ParseStream) -> Result<TokenStream> {
    let is_value = is_value(&input.fork());
    let mut member = TokenStream::new();
    while !input.is_empty() {
        let token: TokenTree = input.parse()?;
        let is_end = match &token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_value,
            token => is_punct(token, ';'),
        };
        member.extend([token]);
        if is_end {
            break;
        }
    }
    Ok(member)
}

/// Returns whether a member ends at its semicolon, and braces may be a part of it, as in `const X: T = { … };`.
fn is_value(member: ParseStream) -> bool {
    member.call(Attribute::parse_outer).is_ok()
        && member.parse::<Visibility>().is_ok()
        && (member.peek(Token![const]) || member.peek(Token![type]) || member.peek(Token![static]))
}
