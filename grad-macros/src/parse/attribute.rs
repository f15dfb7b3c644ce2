//! The arguments of an attribute: `condition, backend = path, detach(x, y), eager`.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::token::Paren;
use syn::{Error, Expr, ExprPath, Ident, LitStr, Result, Token};

use crate::scope::ScopeKind;

/// An argument.
pub enum Argument {
    Condition(Expr),
    Keyword { name: Ident, value: Value },
}

/// The value of an argument.
pub enum Value {
    /// Nothing: `eager`.
    None,
    /// `backend = Mlx`.
    Path(ExprPath),
    /// `backend = default_backend()`, or nothing after the `=`.
    NotAPath(TokenStream),
    /// `detach(x, y)`: the parentheses, and the names in them if they contain nothing else.
    Parenthesized(Group, Option<Vec<Ident>>),
    /// `backend: Mlx`, and what follows the colon.
    AfterColon(TokenStream),
}

/// The names of the arguments.
pub const NAMES: [&str; 5] = ["backend", "crate", "detach", "eager", "skip"];

/// Parses the arguments of the attribute `kind`.
pub fn parse(kind: ScopeKind, arguments: TokenStream) -> Result<Vec<Argument>> {
    (|input: ParseStream| {
        let mut arguments = Vec::new();
        let mut has_condition = false;
        while !input.is_empty() {
            if input.peek(Token![,]) {
                return Err(input.error("expected an argument, found `,`"));
            }
            arguments.push(if is_keyword(kind.takes_condition() && !has_condition, input) {
                parse_keyword(input)?
            } else {
                has_condition = true;
                parse_condition(input)?
            });
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    })
    .parse2(arguments)
}

/// Returns whether an argument with a name comes next.
///
/// Where a condition is expected, a lone word is the condition: a function may have an argument named `eager`.
fn is_keyword(expects_condition: bool, input: ParseStream) -> bool {
    let ahead = input.fork();
    let Ok(name) = ahead.call(Ident::parse_any) else {
        return false;
    };
    let is_assigned = ahead.peek(Token![=]) && !ahead.peek(Token![==]) && !ahead.peek(Token![=>]);
    let is_after_name = ahead.peek(Token![:]) && !ahead.peek(Token![::]);
    if is_assigned || is_after_name {
        return true;
    }
    let is_alone = ahead.is_empty() || ahead.peek(Token![,]);
    let is_known = NAMES.iter().any(|known| name == known);
    // `crate` alone is never a condition.
    is_known && (is_alone || ahead.peek(Paren)) && (!expects_condition || name == "crate")
}

fn parse_keyword(input: ParseStream) -> Result<Argument> {
    let name = input.call(Ident::parse_any)?;
    let value = if input.peek(Paren) {
        parse_names(input.parse()?)
    } else if input.parse::<Option<Token![=]>>()?.is_some() {
        parse_value(input)?
    } else if input.parse::<Option<Token![:]>>()?.is_some() {
        Value::AfterColon(until_comma(input)?)
    } else {
        Value::None
    };
    Ok(Argument::Keyword { name, value })
}

fn parse_value(input: ParseStream) -> Result<Value> {
    let ahead = input.fork();
    let path = if input.peek(LitStr) { None } else { ahead.parse::<ExprPath>().ok() };
    if path.is_some() {
        input.advance_to(&ahead);
    }
    // Anything between the path and the comma belongs to a value that is not a path.
    let rest = until_comma(input)?;
    Ok(match path {
        Some(path) if rest.is_empty() => Value::Path(path),
        path => Value::NotAPath(quote!(#path #rest)),
    })
}

fn parse_names(parentheses: Group) -> Value {
    let names = |input: ParseStream| Punctuated::<Ident, Token![,]>::parse_terminated_with(input, Ident::parse_any);
    let names = names.parse2(parentheses.stream()).ok();
    Value::Parenthesized(parentheses, names.map(|names| names.into_iter().collect()))
}

fn parse_condition(input: ParseStream) -> Result<Argument> {
    let ahead = input.fork();
    let Ok(condition) = ahead.parse() else {
        let message = "cannot parse the condition: it is not a complete expression\n\
                       help: write an expression of type `bool`, such as `self.training`";
        return Err(Error::new_spanned(until_comma(input)?, message));
    };
    input.advance_to(&ahead);
    Ok(Argument::Condition(condition))
}

/// Parses the tokens before the next comma.
fn until_comma(input: ParseStream) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(tokens)
}
