//! Checks on the item under an attribute.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{Attribute, Error, FnArg, Meta, Result, Signature};

use super::attribute;
use crate::parse::bindings;
use crate::parse::item::{Function, MethodBlock, OtherItem};
use crate::scope::{DetachArgs, Scope, ScopeKind};

/// Checks that a function can run in a scope.
pub fn check_function(kind: ScopeKind, function: &Function) -> Result<()> {
    let Some(constness) = function.signature.constness else {
        return Ok(());
    };
    let name = kind.name();
    let message = format!(
        "cannot apply `#[{name}]` to a `const fn`: it may run at compile time, where there is no grad mode\n\
         help: remove `const`, or annotate the functions that call it"
    );
    Err(Error::new(constness.span, message))
}

/// Returns the error for an item that takes no attribute.
pub fn not_a_function(kind: ScopeKind, item: &OtherItem, span: Span) -> Error {
    let name = kind.name();
    let condition = if kind == ScopeKind::SetGradEnabled { "condition, " } else { "" };
    let block = |body: &str| match kind {
        ScopeKind::SetGradEnabled => format!("set_grad_enabled!(condition, {{ {body} }})"),
        _ => format!("{name}! {{ {body} }}"),
    };
    let annotate_users = || "annotate the functions and methods that use it".to_owned();
    let (place, help) = match item {
        OtherItem::FunctionWithoutBody => {
            let message = format!(
                "cannot apply `#[{name}]` to a function without a body\n\
                 help: annotate its implementation, or the functions that call it"
            );
            return Error::new(span, message);
        }
        OtherItem::AsyncBlock => ("to an async block", format!("write `{name}!({condition}async {{ … }})`")),
        OtherItem::Closure => ("to a closure", format!("write `{name}!({condition}|x| …)`")),
        OtherItem::Keyword(keyword) => match keyword.as_str() {
            "mod" => ("to a module", "annotate each of its functions".to_owned()),
            "extern" => ("to an `extern` block", "annotate the functions that call its functions".to_owned()),
            "struct" => ("to a struct", annotate_users()),
            "enum" => ("to an enum", annotate_users()),
            "union" => ("to a union", annotate_users()),
            "type" => ("to a type alias", annotate_users()),
            "use" => ("to an import", "annotate the function where it is defined, or its callers".to_owned()),
            "const" => ("to a constant", annotate_users()),
            "static" => ("to a static", annotate_users()),
            "let" => ("to a `let` statement", format!("write `let … = {};`", block("…"))),
            _ => ("here", format!("to evaluate an expression in the scope, write `{}`", block("…"))),
        },
    };
    let message = format!(
        "cannot apply `#[{name}]` {place}: it takes a function, an `impl` block or a trait\n\
         help: {help}"
    );
    Error::new(span, message)
}

/// Removes another scope attribute that conflicts with this one, and returns the error.
///
/// The compiler expands the upper attribute first, so the scope of the lower one would be the outer scope: the opposite
/// of Python's decorators. Attributes for different backends have the same effect in both orders.
pub fn take_conflict(kind: ScopeKind, scope: &Scope, attributes: &mut Vec<Attribute>) -> Option<Error> {
    let conflicting = |attribute: &Attribute| {
        let other = named(attribute)?;
        let arguments = match &attribute.meta {
            Meta::List(list) => list.tokens.clone(),
            Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
        };
        // Errors in its arguments are reported when it is expanded itself.
        let other_scope = attribute::scope(other, arguments).ok()?;
        (!scope.has_other_backend_than(&other_scope)).then_some(other)
    };
    let (index, other) = attributes.iter().enumerate().find_map(|(i, a)| Some((i, conflicting(a)?)))?;
    let (name, other) = (kind.name(), other.name());
    let message = if name == other {
        format!("duplicate attribute `#[{name}]`\nhelp: remove one of the two")
    } else {
        format!(
            "cannot combine `#[{other}]` with `#[{name}]`: both switch the same backend\n\
             help: remove one of the two, or write a block such as `{other}! {{ … }}` inside the function"
        )
    };
    Some(Error::new_spanned(attributes.remove(index), message))
}

/// Checks that the names in `detach(x, y)` are arguments of the function.
pub fn check_detach_args(scope: &Scope, signature: &Signature) -> Result<()> {
    let Some(DetachArgs::Named(names)) = &scope.detach_args else {
        return Ok(());
    };
    let patterns = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument.pat.clone()),
        FnArg::Receiver(_) => None,
    });
    let bindings: Vec<_> =
        patterns.flat_map(|mut pattern| bindings::take(&DetachArgs::All, &mut pattern)).collect();
    let Some(name) = names.iter().find(|name| !bindings.iter().any(|binding| binding.ident == **name)) else {
        return Ok(());
    };
    let message = if name == "self" {
        "cannot detach `self`: that name cannot be bound again\n\
         help: detach the fields that matter inside the function"
            .to_owned()
    } else {
        format!(
            "cannot detach `{name}`: the function has no such argument\n\
             help: write `detach(args)` to detach all arguments"
        )
    };
    Err(Error::new(name.span(), message))
}

/// Returns whether a method takes the attribute on its `impl` block or trait.
pub fn takes_block_attribute(method: &Function) -> bool {
    method.signature.constness.is_none() && method.attributes.iter().all(|attribute| named(attribute).is_none())
}

/// Checks that no `cfg_attr` may add a scope attribute to a method in an annotated block.
pub fn check_cfg_attr(kind: ScopeKind, method: &Function) -> Result<()> {
    let Some(ambiguous) = method.attributes.iter().find(|attribute| is_ambiguous_cfg_attr(attribute)) else {
        return Ok(());
    };
    let name = kind.name();
    let message = format!(
        "cannot decide between `#[{name}]` on the whole block and an attribute in `cfg_attr`\n\
         help: move this method to another `impl` block, or annotate each method instead of the block"
    );
    Err(Error::new_spanned(ambiguous, message))
}

/// Returns the error for an `impl` block or a trait in which no method takes the attribute.
pub fn nothing_to_annotate(kind: ScopeKind, block: &MethodBlock) -> Error {
    let name = kind.name();
    let found = if block.keyword == "impl" { "`impl` block" } else { "trait" };
    let message = format!(
        "cannot apply `#[{name}]` to this {found}: none of its methods takes it\n\
         help: it applies to methods that have a body, are not `const`, and have no scope attribute of their own"
    );
    Error::new(block.keyword.span(), message)
}

/// Returns the kind of a scope attribute.
fn named(attribute: &Attribute) -> Option<ScopeKind> {
    ScopeKind::named(&attribute.path().segments.last()?.ident)
}

/// Returns whether an attribute is a `cfg_attr` with a scope attribute in it.
fn is_ambiguous_cfg_attr(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    let is_scope = |token| matches!(token, TokenTree::Ident(word) if ScopeKind::named(&word).is_some());
    list.path.is_ident("cfg_attr") && list.tokens.clone().into_iter().any(is_scope)
}
