//! The input of a block macro: `<backend> condition, detach { … }`.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, Path, Token};

use crate::scope::ScopeKind;
use crate::tokens::is_punct;

/// A block and what precedes it.
pub struct Block {
    pub kind: ScopeKind,
    /// The path of `grad_runtime`.
    pub root: TokenStream,
    pub selector: Option<Selector>,
    /// Where a condition is written, or would be.
    pub condition_span: Span,
    pub condition: Option<Expr>,
    /// Whether the block's value is detached.
    pub detach: bool,
    /// With the user's braces, if any. Never parsed as a whole: errors in it are reported by rustc.
    pub body: TokenStream,
}

/// `<Mlx>`.
pub struct Selector {
    pub open: Token![<],
    /// What is between `<` and `>`.
    pub tokens: TokenStream,
    /// The same as paths, if it is paths.
    pub backends: Option<Punctuated<Path, Token![,]>>,
    pub close: Token![>],
}

/// Parses `[$crate kind] <backend> condition, detach { … }`. The brackets come from our `macro_rules!`; without them,
/// it returns `None`.
pub fn parse(input: TokenStream) -> Option<Block> {
    let mut tokens = input.into_iter();
    let TokenTree::Group(group) = tokens.next()? else {
        return None;
    };
    let mut forwarded = group.stream().into_iter();
    let root = forwarded.next()?.into();
    let TokenTree::Ident(name) = forwarded.next()? else {
        return None;
    };
    let kind = ScopeKind::named(&name)?;
    let block = |input: ParseStream| {
        let selector = parse_selector(input);
        let condition_span = if input.is_empty() { Span::call_site() } else { input.span() };
        let condition = parse_condition(input);
        let detach = parse_detach(input);
        Ok(Block { kind, root, selector, condition_span, condition, detach, body: input.parse()? })
    };
    block.parse2(tokens.collect()).ok()
}

/// Parses `<path>`, unless it begins a qualified path such as `<T>::new()`.
fn parse_selector(input: ParseStream) -> Option<Selector> {
    let ahead = input.fork();
    let open = ahead.parse().ok()?;
    let (mut tokens, mut depth) = (TokenStream::new(), 0_usize);
    while depth > 0 || !ahead.peek(Token![>]) {
        if let Ok(arrow) = ahead.parse::<Token![->]>() {
            arrow.to_tokens(&mut tokens);
            continue;
        }
        let token: TokenTree = ahead.parse().ok()?;
        if is_punct(&token, '<') {
            depth += 1;
        } else if is_punct(&token, '>') {
            depth = depth.saturating_sub(1);
        }
        tokens.extend([token]);
    }
    let close = ahead.parse().ok()?;
    if ahead.peek(Token![::]) {
        return None;
    }
    let backends = Punctuated::parse_terminated.parse2(tokens.clone()).ok();
    input.advance_to(&ahead);
    Some(Selector { open, tokens, backends, close })
}

/// Parses `expression,`.
fn parse_condition(input: ParseStream) -> Option<Expr> {
    let ahead = input.fork();
    let condition = ahead.parse().ok()?;
    ahead.parse::<Token![,]>().ok()?;
    input.advance_to(&ahead);
    Some(condition)
}

/// Parses the word in `detach { … }`, if that is the whole input.
fn parse_detach(input: ParseStream) -> bool {
    let ahead = input.fork();
    if !ahead.call(Ident::parse_any).is_ok_and(|word| word == "detach") {
        return false;
    }
    let body = ahead.fork();
    let is_braced = matches!(body.parse(), Ok(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace);
    let is_detach = is_braced && body.is_empty();
    if is_detach {
        input.advance_to(&ahead);
    }
    is_detach
}
