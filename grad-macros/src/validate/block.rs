//! Checks on block macros and on `carry!`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Error, Result};

use crate::parse::block::{Block, Selector};
use crate::parse::suspension;
use crate::scope::{DetachWith, Scope, ScopeKind};

/// Returns the scope that a block macro asks for.
pub fn scope(block: &Block) -> Result<Scope> {
    let scope = Scope {
        kind: block.kind,
        root: block.root.clone(),
        backend: block.selector.as_ref().map(|selector| backend(block.kind, selector)).transpose()?,
        condition: condition(block)?,
        detach: block.detach.then_some(DetachWith::Trait),
    };
    check_suspension(block)?;
    Ok(scope)
}

fn backend(kind: ScopeKind, selector: &Selector) -> Result<TokenStream> {
    let Selector { open, tokens, backends, close } = selector;
    let name = kind.name();
    let problem = match backends {
        Some(backends) if backends.len() == 1 => return Ok(backends.first().to_token_stream()),
        Some(backends) if backends.is_empty() => format!(
            "cannot switch a backend: the selector names none\n\
             help: write a backend, as in `{name}! {{ <Mlx> … }}`, or remove `<>` to switch every installed backend"
        ),
        Some(_) => format!(
            "cannot switch two backends with one block\n\
             help: nest two blocks: `{name}! {{ <A> {name}! {{ <B> … }} }}`"
        ),
        None => format!(
            "cannot switch this backend: it is not a path\n\
             help: write the path of a backend, as in `{name}! {{ <Mlx> … }}`"
        ),
    };
    Err(Error::new_spanned(quote!(#open #tokens #close), problem))
}

fn condition(block: &Block) -> Result<Option<TokenStream>> {
    match &block.condition {
        Some(condition) if !block.kind.takes_condition() => {
            let message = format!(
                "cannot use a condition with `{}!`\n\
                 help: write `set_grad_enabled!(condition, {{ … }})`",
                block.kind.name()
            );
            Err(Error::new_spanned(condition, message))
        }
        None if block.kind == ScopeKind::SetGradEnabled => {
            let message = "missing condition in `set_grad_enabled!`\n\
                           help: write a condition and a comma first: `set_grad_enabled!(condition, { … })`";
            Err(Error::new(block.condition_span, message))
        }
        condition => Ok(condition.as_ref().map(ToTokens::to_token_stream)),
    }
}

fn check_suspension(block: &Block) -> Result<()> {
    let Some(word) = suspension::find(block.body.clone()) else {
        return Ok(());
    };
    let suspending = if word == "await" { ".await".to_owned() } else { format!("{word}!") };
    let name = block.kind.name();
    let condition = if block.kind == ScopeKind::SetGradEnabled { "(…)" } else { "" };
    let message = format!(
        "cannot use `{suspending}` inside `{name}!`: other tasks would run in its scope while this one is suspended\n\
         help: annotate an `async fn` with `#[{name}{condition}]`, or move `{suspending}` out of the block"
    );
    Err(Error::new(word.span(), message))
}

/// Returns the error for a call of an internal macro by the user.
pub fn called_directly(name: &str, instead: &str) -> Error {
    let message = format!(
        "cannot call `{name}!` directly: it is internal to grad-runtime\n\
         help: use {instead}"
    );
    Error::new(Span::call_site(), message)
}

/// Returns the error for a call of `carry!` with neither a closure nor an async block.
pub fn nothing_to_carry(work: TokenStream) -> Error {
    let message = "cannot expand `carry!` without a closure or an async block\n\
                   help: write `carry!(|x| …)`; for a closure in a variable, call the function `carry(f)`; for a \
                   future, call `.in_current_grad_mode()`";
    // An error about no tokens points to the call.
    Error::new_spanned(work, message)
}
