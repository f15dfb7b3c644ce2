//! The input of a block macro: `<backend> condition, detach { … }`.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, Path, Result, Token};

use crate::scope::ScopeKind;

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
    pub backends: Punctuated<Path, Token![,]>,
    pub close: Token![>],
}

/// Parses `[$crate kind] <backend> condition, detach { … }`. The brackets come from our `macro_rules!`; without them,
/// it returns `None`.
pub fn parse(input: TokenStream) -> Option<Result<Block>> {
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
    Some(block.parse2(tokens.collect()))
}

/// Parses `<path>`, unless it begins a qualified path such as `<T>::new()`.
fn parse_selector(input: ParseStream) -> Option<Selector> {
    let ahead = input.fork();
    let open = ahead.parse().ok()?;
    let backends = Punctuated::parse_separated_nonempty(&ahead).unwrap_or_default();
    let close = ahead.parse().ok()?;
    if ahead.peek(Token![::]) {
        return None;
    }
    input.advance_to(&ahead);
    Some(Selector { open, backends, close })
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
    if is_braced && body.is_empty() {
        input.advance_to(&ahead);
    }
    is_braced && body.is_empty()
}
