//! Checks on the item under an attribute.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{Attribute, Error, FnArg, Meta, Result};

use super::attribute;
use crate::parse::bindings;
use crate::parse::deferred_type::{self, Deferred, Form};
use crate::parse::item::{Function, MethodBlock, OtherItem};
use crate::scope::{DetachArgs, Scope, ScopeAttribute, ScopeKind};

/// Checks that a function can run in the scope of its attribute.
pub fn check_function(attribute: &ScopeAttribute, function: &Function) -> Result<()> {
    if let Some(constness) = function.signature.constness {
        let name = attribute.scope.kind.name();
        let message = format!(
            "cannot apply `#[{name}]` to a `const fn`: it may run at compile time, where there is no grad mode\n\
             help: remove `const`, or annotate the functions that call it"
        );
        return Err(Error::new(constness.span, message));
    }
    check_detach_args(attribute, &[function], "function")?;
    check_copy(attribute, function)
}

/// Checks the methods of a block that take its attribute, all together.
pub fn check_methods(attribute: &ScopeAttribute, block: &MethodBlock, methods: &[&Function]) -> Result<()> {
    let name = attribute.scope.kind.name();
    let place = if block.keyword == "impl" { "`impl` block" } else { "trait" };
    if methods.is_empty() {
        let message = format!(
            "cannot apply `#[{name}]` to this {place}: none of its methods takes it\n\
             help: it applies to methods that have a body, are not `const`, and have no scope attribute of their own"
        );
        return Err(Error::new(block.keyword.span(), message));
    }
    check_detach_args(attribute, methods, place)
}

/// Checks that a method can run in the scope of the attribute on its block.
pub fn check_method(attribute: &ScopeAttribute, method: &Function) -> Result<()> {
    check_cfg_attr(attribute.scope.kind, method)?;
    check_copy(attribute, method)
}

/// Checks that no future, iterator or stream is `Copy`: its wrapper drops it in the scope, and what is dropped is not `Copy`.
fn check_copy(attribute: &ScopeAttribute, function: &Function) -> Result<()> {
    fn find(deferred: &Deferred) -> Option<Span> {
        match &deferred.form {
            Form::Resumable(resumable) if resumable.copy.is_some() => resumable.copy,
            _ => deferred.parts().into_iter().find_map(find),
        }
    }
    let deferred = if attribute.eager { None } else { deferred_type::of_output(&function.signature.output) };
    let Some(span) = deferred.as_ref().and_then(find) else {
        return Ok(());
    };
    let message = format!(
        "cannot return this type as `Copy`: it is wrapped to be dropped in the scope\n\
         help: write `Clone` instead, or `#[{}(eager)]` to leave it out of the scope",
        attribute.scope.kind.name()
    );
    Err(Error::new(span, message))
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
pub fn take_conflict(scope: &Scope, attributes: &mut Vec<Attribute>) -> Option<Error> {
    let conflicting = |attribute: &Attribute| {
        let other = named(attribute)?;
        let arguments = match &attribute.meta {
            Meta::List(list) => list.tokens.clone(),
            Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
        };
        // Errors in its arguments are reported when it is expanded itself.
        let other_attribute = attribute::attribute(other, arguments).ok()?;
        (!scope.has_other_backend_than(&other_attribute.scope)).then_some(other)
    };
    let (index, other) = attributes.iter().enumerate().find_map(|(i, a)| Some((i, conflicting(a)?)))?;
    let (name, other) = (scope.kind.name(), other.name());
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

/// Checks that each name in `detach(x, y)` is an argument of one of the functions in `place`.
fn check_detach_args(attribute: &ScopeAttribute, functions: &[&Function], place: &str) -> Result<()> {
    let Some(wanted) = &attribute.detach_args else {
        return Ok(());
    };
    let mut bindings = Vec::new();
    for function in functions {
        for argument in function.signature.arguments()? {
            if let FnArg::Typed(mut argument) = argument {
                bindings::visit(&mut argument.pat, &mut |binding| bindings.push(binding.ident.clone()));
            }
        }
    }
    let DetachArgs::Named(names) = wanted else {
        return Ok(());
    };
    let Some(name) = names.iter().find(|name| !bindings.contains(name)) else {
        return Ok(());
    };
    let message = if name == "self" {
        "cannot detach `self`: that name cannot be bound again\n\
         help: detach the fields that matter inside the function"
            .to_owned()
    } else {
        format!(
            "cannot detach `{name}`: the {place} has no such argument\n\
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
fn check_cfg_attr(kind: ScopeKind, method: &Function) -> Result<()> {
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
