//! Checks on the arguments of an attribute.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::ToTokens;
use syn::{Error, Expr, Result};

use crate::parse::attribute::{Argument, NAMES, Value, parse};
use crate::scope::{DetachArgs, DetachWith, Scope, ScopeAttribute, ScopeKind};
use crate::tokens::default_root;

/// Returns the attribute `kind` with these arguments.
pub fn attribute(kind: ScopeKind, arguments: TokenStream) -> Result<ScopeAttribute> {
    let mut scope = Scope { kind, root: default_root(), condition: None, backend: None, detach: None };
    let (mut detach_args, mut eager, mut skip) = (None, false, false);
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
                    ("backend", value) => scope.backend = Some(path(name, value, "Mlx")?),
                    ("crate", value) => scope.root = path(name, value, "renamed_grad_runtime")?,
                    ("detach", Value::None) => scope.detach = Some(DetachWith::Trait),
                    ("detach", Value::Parenthesized(parentheses, names)) => {
                        detach_args = Some(named_arguments(kind, parentheses, names.as_deref())?);
                    }
                    ("detach", value) => {
                        let function = path(name, value, "path::to::function")?;
                        scope.detach = Some(DetachWith::Function(function));
                    }
                    ("eager", Value::None) => eager = true,
                    ("skip", Value::None) => {
                        check_alone(kind, name, &arguments)?;
                        skip = true;
                    }
                    ("eager" | "skip", _) => return Err(value_not_allowed(kind, name)),
                    _ => return Err(unknown(kind, name)),
                }
            }
        }
    }
    if kind == ScopeKind::SetGradEnabled && scope.condition.is_none() && !skip {
        let message = "missing condition in `#[set_grad_enabled]`\n\
                       help: write an expression of type `bool` first, as in `#[set_grad_enabled(self.training)]`, \
                       or use `#[no_grad]` or `#[enable_grad]`";
        return Err(Error::new(Span::call_site(), message));
    }
    Ok(ScopeAttribute { scope, detach_args, eager, skip })
}

fn check_condition(kind: ScopeKind, condition: &Expr, before: &[Argument]) -> Result<()> {
    let name = kind.name();
    if let Some(word) = first_word(condition).filter(|word| !kind.takes_condition() && nearest(word).is_some()) {
        return Err(unknown(kind, word));
    }
    let message = if !kind.takes_condition() {
        let for_condition = "for a condition, use `#[set_grad_enabled(…)]`";
        let help = match peeled(condition) {
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
    let has_names = matches!(value, Value::Parenthesized(..));
    let is_same = |other: &Argument| match other {
        Argument::Condition(_) => false,
        Argument::Keyword { name: other, value } => {
            other == name && matches!(value, Value::Parenthesized(..)) == has_names
        }
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
    let (problem, at) = match value {
        Value::Path(path) => return Ok(path.to_token_stream()),
        Value::NotAPath(value) if !value.is_empty() => {
            let message = format!(
                "cannot use this value for `{name}`: it is not a path\n\
                 help: write `{name} = {example}`, without quotes or calls"
            );
            return Err(Error::new_spanned(value, message));
        }
        Value::None | Value::NotAPath(_) => ("value of", TokenStream::new()),
        Value::Parenthesized(parentheses, _) => ("`=` after", parentheses.stream()),
        Value::AfterColon(value) => ("`=` after", value.clone()),
    };
    let example = if at.is_empty() { example.to_owned() } else { at.to_string() };
    let message = format!("missing {problem} `{name}`\nhelp: write `{name} = {example}`");
    Err(Error::new(name.span(), message))
}

fn value_not_allowed(kind: ScopeKind, name: &Ident) -> Error {
    let message = format!(
        "cannot use a value with `{name}`: it has none\n\
         help: write `#[{}({name})]`, or remove `{name}`",
        kind.name()
    );
    Error::new(name.span(), message)
}

/// Returns the arguments that `detach(…)` names: `args` stands for all of them.
fn named_arguments(kind: ScopeKind, parentheses: &Group, names: Option<&[Ident]>) -> Result<DetachArgs> {
    let problem = match names {
        None => "`detach(…)` takes names of arguments alone",
        Some([]) => "`detach(…)` has no names",
        Some([name]) if name == "args" => return Ok(DetachArgs::All),
        Some(names) => return Ok(DetachArgs::Named(names.to_vec())),
    };
    let message = format!(
        "cannot tell which arguments to detach: {problem}\n\
         help: write `#[{}(detach(args))]` for all arguments, or their names, as in `detach(x, y)`",
        kind.name()
    );
    Err(Error::new_spanned(parentheses, message))
}

fn unknown(kind: ScopeKind, argument: &Ident) -> Error {
    let name = kind.name();
    let condition = if kind.takes_condition() { "a condition, " } else { "" };
    let suggestion = nearest(argument).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
    let message = format!(
        "unknown argument `{argument}`{suggestion}\n\
         help: `#[{name}]` takes {condition}`backend = path`, `crate = path`, `detach`, `eager` and `skip`"
    );
    Error::new(argument.span(), message)
}

/// Returns the word in `word` or `word(…)`.
fn first_word(expression: &Expr) -> Option<&Ident> {
    match peeled(expression) {
        Expr::Path(path) => path.path.get_ident(),
        Expr::Call(call) => first_word(&call.func),
        _ => None,
    }
}

/// Returns the expression inside the invisible group in which an `$x:expr` of a `macro_rules!` arrives.
fn peeled(expression: &Expr) -> &Expr {
    match expression {
        Expr::Group(group) => peeled(&group.expr),
        expression => expression,
    }
}

/// Returns the argument that a word is a misspelling of, if there is one: one letter in three may be wrong.
fn nearest(word: &Ident) -> Option<&'static str> {
    let word = word.to_string();
    NAMES
        .into_iter()
        .filter(|known| distance(&word, known) <= known.len() / 3)
        .min_by_key(|known| distance(&word, known))
}

/// Returns the number of letters to insert, remove or replace to turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
