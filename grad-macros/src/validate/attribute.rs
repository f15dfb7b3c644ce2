//! Checks on the arguments of an attribute.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::ToTokens;
use syn::{Error, Expr, Result};

use crate::parse::attribute::{Argument, Value, parse};
use crate::scope::{DetachArgs, DetachWith, Scope, ScopeKind};
use crate::tokens::default_root;

/// Returns the scope that the arguments of the attribute `kind` ask for.
pub fn scope(kind: ScopeKind, arguments: TokenStream) -> Result<Scope> {
    let arguments = parse(kind, arguments)?;
    let count = arguments.len();
    let (mut condition, mut backend, mut root) = (None, None, None);
    let (mut detach, mut detach_args) = (None, None);
    let (mut eager, mut skip) = (None, None);
    for argument in arguments {
        let (name, value) = match argument {
            Argument::Keyword { name, value } => (name, value),
            Argument::Condition(written) => {
                check_condition(kind, &written)?;
                if condition.is_some() {
                    return Err(misplaced_condition(kind, &written, "cannot use two conditions"));
                }
                if backend.is_some() || root.is_some() {
                    let problem = "cannot use a condition after other arguments";
                    return Err(misplaced_condition(kind, &written, problem));
                }
                condition = Some(written.into_token_stream());
                continue;
            }
        };
        let remove_one = "remove one of the two";
        match (name.to_string().as_str(), value) {
            ("backend", value) => {
                let path = path(&name, value, "backend = Mlx")?;
                set(&mut backend, path, &name, "backend", "to switch two backends, write the attribute twice")?;
            }
            ("crate", value) => {
                set(&mut root, path(&name, value, "crate = renamed_grad_runtime")?, &name, "crate", remove_one)?;
            }
            ("detach", Value::Names(parentheses, names)) => {
                set(&mut detach_args, args(kind, &parentheses, names)?, &name, "detach(…)", remove_one)?;
            }
            ("detach", Value::None) => set(&mut detach, DetachWith::Trait, &name, "detach", remove_one)?,
            ("detach", Value::Path(path)) => {
                set(&mut detach, DetachWith::Function(path.into_token_stream()), &name, "detach", remove_one)?;
            }
            ("detach", Value::NotAPath(value)) => return Err(not_a_function(&name, value)),
            ("eager", Value::None) => set(&mut eager, (), &name, "eager", remove_one)?,
            ("skip", Value::None) => set(&mut skip, name.span(), &name, "skip", remove_one)?,
            _ => return Err(unknown(kind, &name)),
        }
    }
    if let Some(span) = skip
        && count > 1
    {
        let name = kind.name();
        let message = format!(
            "cannot combine `skip` with other arguments\n\
             help: write `#[{name}(skip)]`, or remove `skip`"
        );
        return Err(Error::new(span, message));
    }
    if kind == ScopeKind::SetGradEnabled && condition.is_none() && skip.is_none() {
        return Err(Error::new(
            Span::call_site(),
            "missing condition in `#[set_grad_enabled]`\n\
             help: write an expression of type `bool` first, as in `#[set_grad_enabled(self.training)]`, or use \
             `#[no_grad]` or `#[enable_grad]`",
        ));
    }
    Ok(Scope {
        kind,
        root: root.unwrap_or_else(default_root),
        condition,
        backend,
        detach,
        detach_args,
        eager: eager.is_some(),
        skip: skip.is_some(),
    })
}

/// Sets an argument that may be given once.
fn set<T>(argument: &mut Option<T>, value: T, name: &Ident, shown: &str, help: &str) -> Result<()> {
    if argument.replace(value).is_some() {
        return Err(Error::new(name.span(), format!("duplicate argument `{shown}`\nhelp: {help}")));
    }
    Ok(())
}

fn path(name: &Ident, value: Value, example: &str) -> Result<TokenStream> {
    match value {
        Value::Path(path) => Ok(path.into_token_stream()),
        Value::NotAPath(value) if !value.is_empty() => {
            let message = format!(
                "cannot use this value for `{name}`: it is not a path\n\
                 help: write `{example}`, without quotes or calls"
            );
            Err(Error::new_spanned(value, message))
        }
        _ => Err(Error::new(name.span(), format!("missing value of `{name}`\nhelp: write `{example}`"))),
    }
}

fn not_a_function(name: &Ident, value: TokenStream) -> Error {
    let help = "write `detach = path::to::function`, without quotes or calls";
    if value.is_empty() {
        return Error::new(name.span(), format!("missing value of `detach`\nhelp: {help}"));
    }
    let message = format!("cannot use this value for `detach`: it is not the path of a function\nhelp: {help}");
    Error::new_spanned(value, message)
}

/// Returns the arguments that `detach(…)` names: `args` stands for all of them.
fn args(kind: ScopeKind, parentheses: &Group, names: Vec<Ident>) -> Result<DetachArgs> {
    if names.is_empty() {
        let name = kind.name();
        let message = format!(
            "cannot tell which arguments to detach: `detach(…)` has no names\n\
             help: write `#[{name}(detach(args))]` for all arguments, or their names, as in `detach(x, y)`"
        );
        return Err(Error::new_spanned(parentheses, message));
    }
    if names.len() == 1 && names[0] == "args" {
        return Ok(DetachArgs::All);
    }
    Ok(DetachArgs::Named(names))
}

fn check_condition(kind: ScopeKind, condition: &Expr) -> Result<()> {
    if kind.takes_condition() {
        return Ok(());
    }
    let name = kind.name();
    let for_condition = "for a condition, use `#[set_grad_enabled(…)]`";
    let help = match condition {
        Expr::Path(path) => {
            let path = path.to_token_stream();
            format!("to switch one backend, write `#[{name}(backend = {path})]`; {for_condition}")
        }
        _ => for_condition.to_owned(),
    };
    let message = format!("cannot use a condition with `#[{name}]`\nhelp: {help}");
    Err(Error::new_spanned(condition, message))
}

fn misplaced_condition(kind: ScopeKind, condition: &Expr, problem: &str) -> Error {
    let name = kind.name();
    Error::new_spanned(condition, format!("{problem}\nhelp: write `#[{name}(condition, backend = …)]`"))
}

fn unknown(kind: ScopeKind, argument: &Ident) -> Error {
    let name = kind.name();
    let condition = if kind.takes_condition() { "a condition, " } else { "" };
    let message = format!(
        "unknown argument `{argument}`\n\
         help: `#[{name}]` takes {condition}`backend = path`, `crate = path`, `detach`, `eager` and `skip`"
    );
    Error::new(argument.span(), message)
}
