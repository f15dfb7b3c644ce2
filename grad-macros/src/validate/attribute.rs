//! Checks on the arguments of an attribute.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::ToTokens;
use syn::{Error, Expr, Result};

use crate::parse::attribute::{Argument, Value, parse};
use crate::scope::{DetachArgs, DetachWith, Scope, ScopeKind};
use crate::tokens::default_root;

/// Returns the scope that the arguments of the attribute `kind` ask for.
pub fn scope(kind: ScopeKind, arguments: TokenStream) -> Result<Scope> {
    let mut scope = Scope {
        kind,
        root: default_root(),
        condition: None,
        backend: None,
        detach: None,
        detach_args: None,
        eager: false,
        skip: false,
    };
    let arguments = parse(kind, arguments)?;
    for (index, argument) in arguments.iter().enumerate() {
        let before = &arguments[..index];
        match argument {
            Argument::Condition(condition) => {
                check_condition(kind, condition, before)?;
                scope.condition = Some(condition.to_token_stream());
            }
            Argument::Keyword { name, value } => {
                check_duplicate(name, value, before)?;
                match (name.to_string().as_str(), value) {
                    ("backend", value) => scope.backend = Some(path(name, value, "backend = Mlx")?),
                    ("crate", value) => scope.root = path(name, value, "crate = renamed_grad_runtime")?,
                    ("detach", Value::None) => scope.detach = Some(DetachWith::Trait),
                    ("detach", Value::Names(parentheses, names)) => {
                        scope.detach_args = Some(detach_args(kind, parentheses, names)?);
                    }
                    ("detach", value) => {
                        let function = path(name, value, "detach = path::to::function")?;
                        scope.detach = Some(DetachWith::Function(function));
                    }
                    ("eager", Value::None) => scope.eager = true,
                    ("skip", Value::None) => {
                        check_alone(kind, name, &arguments)?;
                        scope.skip = true;
                    }
                    _ => return Err(unknown(kind, name)),
                }
            }
        }
    }
    if kind == ScopeKind::SetGradEnabled && scope.condition.is_none() && !scope.skip {
        let message = "missing condition in `#[set_grad_enabled]`\n\
                       help: write an expression of type `bool` first, as in `#[set_grad_enabled(self.training)]`, \
                       or use `#[no_grad]` or `#[enable_grad]`";
        return Err(Error::new(Span::call_site(), message));
    }
    Ok(scope)
}

fn check_condition(kind: ScopeKind, condition: &Expr, before: &[Argument]) -> Result<()> {
    let name = kind.name();
    let message = if !kind.takes_condition() {
        let for_condition = "for a condition, use `#[set_grad_enabled(…)]`";
        let help = match condition {
            Expr::Path(path) => {
                let path = path.to_token_stream();
                format!("to switch one backend, write `#[{name}(backend = {path})]`; {for_condition}")
            }
            _ => for_condition.to_owned(),
        };
        format!("cannot use a condition with `#[{name}]`\nhelp: {help}")
    } else if let Some(first) = before.first() {
        let problem = match first {
            Argument::Condition(_) => "cannot use two conditions",
            Argument::Keyword { .. } => "cannot use a condition after other arguments",
        };
        format!("{problem}\nhelp: write `#[{name}(condition, backend = …)]`")
    } else {
        return Ok(());
    };
    Err(Error::new_spanned(condition, message))
}

/// Checks that an argument is given once. `detach` and `detach(…)` are two arguments.
fn check_duplicate(name: &Ident, value: &Value, before: &[Argument]) -> Result<()> {
    let has_names = matches!(value, Value::Names(..));
    let is_same = |other: &Argument| match other {
        Argument::Condition(_) => false,
        Argument::Keyword { name: other, value } => other == name && matches!(value, Value::Names(..)) == has_names,
    };
    if !before.iter().any(is_same) {
        return Ok(());
    }
    let names = if has_names { "(…)" } else { "" };
    let help = if name == "backend" {
        "to switch two backends, write the attribute twice"
    } else {
        "remove one of the two"
    };
    Err(Error::new(name.span(), format!("duplicate argument `{name}{names}`\nhelp: {help}")))
}

fn check_alone(kind: ScopeKind, name: &Ident, arguments: &[Argument]) -> Result<()> {
    if arguments.len() == 1 {
        return Ok(());
    }
    let message = format!(
        "cannot combine `{name}` with other arguments\n\
         help: write `#[{}({name})]`, or remove `{name}`",
        kind.name()
    );
    Err(Error::new(name.span(), message))
}

fn path(name: &Ident, value: &Value, example: &str) -> Result<TokenStream> {
    match value {
        Value::Path(path) => Ok(path.to_token_stream()),
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

/// Returns the arguments that `detach(…)` names: `args` stands for all of them.
fn detach_args(kind: ScopeKind, parentheses: &Group, names: &[Ident]) -> Result<DetachArgs> {
    match names {
        [] => {
            let message = format!(
                "cannot tell which arguments to detach: `detach(…)` has no names\n\
                 help: write `#[{}(detach(args))]` for all arguments, or their names, as in `detach(x, y)`",
                kind.name()
            );
            Err(Error::new_spanned(parentheses, message))
        }
        [name] if name == "args" => Ok(DetachArgs::All),
        names => Ok(DetachArgs::Named(names.to_vec())),
    }
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
