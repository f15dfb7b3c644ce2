//! What the user asks for: the arguments of an attribute, the head of a block macro, and the scope that both name.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::token::Paren;
use syn::{Error, Expr, ExprPath, Ident, LitStr, Path, Result, ReturnType, Token};

use crate::arguments::Arguments;
use crate::function::{at, is_never};

/// Which of the four scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    NoGrad,
    EnableGrad,
    SetGradEnabled,
    InferenceMode,
}

impl Kind {
    /// The scope of that name, if there is one.
    pub fn named(name: &Ident) -> Option<Self> {
        [Self::NoGrad, Self::EnableGrad, Self::SetGradEnabled, Self::InferenceMode]
            .into_iter()
            .find(|kind| name == kind.name())
    }

    /// The name of the attribute and of the block macro.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoGrad => "no_grad",
            Self::EnableGrad => "enable_grad",
            Self::SetGradEnabled => "set_grad_enabled",
            Self::InferenceMode => "inference_mode",
        }
    }

    /// Whether a condition may say how the scope is entered.
    pub const fn takes_condition(self) -> bool {
        matches!(self, Self::SetGradEnabled | Self::InferenceMode)
    }
}

/// A scope to enter.
pub struct Scope {
    kind: Kind,
    /// The path of `grad_runtime`.
    pub root: TokenStream,
    condition: Option<TokenStream>,
    backend: Option<TokenStream>,
    /// What results go through on their way out.
    detach: Option<How>,
    /// Which arguments are detached on their way in.
    pub detached_arguments: Option<Arguments>,
    /// Whether results that run later are left as they are.
    pub eager: bool,
    /// Whether nothing is to be done, for a method of an annotated impl or trait.
    pub skip: bool,
}

impl Scope {
    /// Parses the arguments of an attribute: `condition, backend = path, crate = path`.
    pub fn of_attribute(kind: Kind, arguments: TokenStream) -> Result<Self> {
        (|input: ParseStream| parse_arguments(kind, input)).parse2(arguments)
    }

    /// Parses what comes before the body of a block macro: `<backend> condition,`. After an error too, what is left of
    /// `input` is the body.
    pub fn of_block(kind: Kind, root: TokenStream, input: ParseStream) -> Result<Self> {
        let backend = parse_selector(kind, input)?;
        let condition = parse_block_condition(kind, input)?;
        let detach = takes_detach(input).then_some(How::Trait);
        Ok(Self { kind, root, condition, backend, detach, detached_arguments: None, eager: false, skip: false })
    }

    /// What results of the type `output` go through, if they do.
    pub fn detach(&self, output: &ReturnType) -> Option<Detach> {
        match output {
            ReturnType::Type(_, ty) if is_never(ty) => None,
            ReturnType::Type(_, ty) => self.detach_at(ty.span()),
            ReturnType::Default => self.detach_at(Span::mixed_site()),
        }
    }

    /// The same for results that have no type written; `place` is what errors about them point to.
    pub fn detach_at(&self, place: Span) -> Option<Detach> {
        let how = self.detach.clone()?;
        Some(Detach { root: at(place, &self.root), how, place: Span::mixed_site().located_at(place) })
    }

    /// Whether the two switch different backends.
    pub fn is_apart_from(&self, other: &Self) -> bool {
        match (&self.backend, &other.backend) {
            (Some(a), Some(b)) => a.to_string() != b.to_string(),
            _ => false,
        }
    }

    /// Whether a condition says how the scope is entered.
    pub const fn has_condition(&self) -> bool {
        self.condition.is_some()
    }

    /// An expression for the `grad_runtime::Scope`.
    fn value(&self) -> TokenStream {
        let root = &self.root;
        let span = Span::mixed_site();
        let scope = quote_spanned!(span=> #root::Scope);
        match (self.kind, &self.condition) {
            (Kind::NoGrad, _) => quote_spanned!(span=> #scope::NoGrad),
            (Kind::EnableGrad, _) => quote_spanned!(span=> #scope::EnableGrad),
            (Kind::InferenceMode, None) => quote_spanned!(span=> #scope::InferenceMode(true)),
            (kind, condition) => {
                let make = if kind == Kind::InferenceMode { "InferenceMode" } else { "set_grad_enabled" };
                let make = Ident::new(make, span);
                // The type stands here so that a condition of another type is an error at the condition, and not one
                // about a function that the user never called.
                quote_spanned!(span=> {
                    let condition: ::core::primitive::bool = #condition;
                    #scope::#make(condition)
                })
            }
        }
    }

    /// Statements to run once, and an expression that enters the scope as often as it is evaluated. Without a condition
    /// the value is written there, so that each poll need not look up which scope it is.
    pub fn prepared(&self) -> (TokenStream, TokenStream) {
        let value = self.value();
        if self.condition.is_none() {
            return (TokenStream::new(), self.enter(&value));
        }
        let span = Span::mixed_site();
        let name = Ident::new("scope", span);
        (quote_spanned!(span=> let #name = #value;), self.enter(&name))
    }

    /// An expression that enters `scope`, an expression for the value.
    fn enter(&self, scope: &impl ToTokens) -> TokenStream {
        match &self.backend {
            None => quote_spanned!(Span::mixed_site()=> #scope.enter()),
            Some(backend) => {
                // A value that is no backend is an error at its name.
                let reference = quote_spanned!(first_span(backend)=> &);
                quote_spanned!(Span::mixed_site()=> #scope.enter_on(#reference #backend))
            }
        }
    }
}

/// How values are detached.
pub struct Detach {
    root: TokenStream,
    how: How,
    place: Span,
}

#[derive(Clone)]
enum How {
    Trait,
    Function(TokenStream),
}

impl Detach {
    /// Statements and an expression that detach `value`.
    pub fn apply(&self, value: &TokenStream) -> TokenStream {
        let Self { root, how, place } = self;
        // A variable, because errors point to the argument of a call.
        let made = Ident::new("made", *place);
        let detached = match how {
            How::Trait => quote_spanned!(*place=> #root::Detach::detached(#made)),
            How::Function(function) => quote_spanned!(*place=> #root::__private::through(#made, #function)),
        };
        quote_spanned!(Span::mixed_site()=> { let #made = #value; #detached })
    }

    /// The same as a closure.
    pub fn closure(&self) -> TokenStream {
        let item = Ident::new("item", self.place).into_token_stream();
        let detached = self.apply(&item);
        quote_spanned!(Span::mixed_site()=> |#item| #detached)
    }
}

fn first_span(tokens: &TokenStream) -> Span {
    tokens.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span())
}

fn parse_arguments(kind: Kind, input: ParseStream) -> Result<Scope> {
    let mut condition = None;
    let mut backend = None;
    let mut root = None;
    let (mut eager, mut skip) = (None, None);
    let (mut detach, mut detached_arguments) = (None, None);
    while !input.is_empty() {
        if input.peek(Token![,]) {
            return Err(input.error("expected an argument before this comma"));
        }
        if let Some(word) = parse_word(kind, condition.is_some(), input)? {
            let slot = if word == "eager" { &mut eager } else { &mut skip };
            if slot.replace(word.clone()).is_some() {
                return Err(Error::new(
                    word.span(),
                    format!("`{word}` is given twice\nhelp: remove one of the two"),
                ));
            }
        } else if is_detach(kind, condition.is_some(), input) {
            parse_detach(kind, input, &mut detach, &mut detached_arguments)?;
        } else if is_named(kind, input) {
            parse_named(kind, input, &mut backend, &mut root)?;
        } else {
            let ahead = input.fork();
            let Ok(argument) = ahead.parse::<Expr>() else {
                return Err(Error::new_spanned(until_comma(input)?, "the condition is not a whole expression"));
            };
            input.advance_to(&ahead);
            if !kind.takes_condition() {
                return Err(no_condition(kind, &argument));
            }
            if condition.is_some() || backend.is_some() || root.is_some() {
                let problem =
                    if condition.is_some() { "there is one condition" } else { "the condition comes first" };
                let name = kind.name();
                return Err(Error::new_spanned(
                    argument,
                    format!("{problem}\nhelp: write `#[{name}(condition, backend = …)]`"),
                ));
            }
            condition = Some(argument.into_token_stream());
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    if let Some(skip) = &skip
        && (condition.is_some()
            || backend.is_some()
            || root.is_some()
            || eager.is_some()
            || detach.is_some()
            || detached_arguments.is_some())
    {
        let name = kind.name();
        let message = format!("`skip` stands alone\nhelp: write `#[{name}(skip)]`, or leave `skip` out");
        return Err(Error::new(skip.span(), message));
    }
    if kind == Kind::SetGradEnabled && condition.is_none() && skip.is_none() {
        return Err(Error::new(
            Span::call_site(),
            "`#[set_grad_enabled]` needs a condition\n\
             help: write `#[set_grad_enabled(self.training)]`, for example, or use `#[no_grad]` or `#[enable_grad]`",
        ));
    }
    let root = root.unwrap_or_else(|| quote_spanned!(Span::mixed_site()=> ::grad_runtime));
    let (eager, skip) = (eager.is_some(), skip.is_some());
    Ok(Scope { kind, root, condition, backend, detach, detached_arguments, eager, skip })
}

/// Whether `detach` comes next: alone, with a function or with arguments. Where a condition is taken, the first word is
/// that, unless it can only be ours.
fn is_detach(kind: Kind, has_condition: bool, input: ParseStream) -> bool {
    let ahead = input.fork();
    if !ahead.call(Ident::parse_any).is_ok_and(|word| word == "detach") {
        return false;
    }
    let assigned = ahead.peek(Token![=]) && !ahead.peek(Token![==]) && !ahead.peek(Token![=>]);
    let alone = ahead.is_empty() || ahead.peek(Token![,]) || ahead.peek(Paren);
    assigned || alone && (!kind.takes_condition() || has_condition)
}

/// `detach`, `detach = path` or `detach(args)`.
fn parse_detach(
    kind: Kind,
    input: ParseStream,
    detach: &mut Option<How>,
    detached_arguments: &mut Option<Arguments>,
) -> Result<()> {
    let word = input.call(Ident::parse_any)?;
    let twice = |what| Error::new(word.span(), format!("`{what}` is given twice\nhelp: remove one of the two"));
    if input.peek(Paren) {
        let group: Group = input.parse()?;
        return match detached_arguments.replace(Arguments::parse(kind, &group)?) {
            None => Ok(()),
            Some(_) => Err(twice("detach(…)")),
        };
    }
    let how = if input.parse::<Option<Token![=]>>()?.is_none() {
        How::Trait
    } else {
        let value = if input.peek(LitStr) { None } else { input.parse::<ExprPath>().ok() };
        let rest = until_comma(input)?;
        match value {
            Some(path) if rest.is_empty() => How::Function(path.into_token_stream()),
            value => {
                let message = "the value of `detach` is the path of a function\n\
                               help: write `detach = path::to::function`, without quotes or calls";
                let value = quote!(#value #rest);
                let place = if value.is_empty() { word.into_token_stream() } else { value };
                return Err(Error::new_spanned(place, message));
            }
        }
    };
    match detach.replace(how) {
        None => Ok(()),
        Some(_) => Err(twice("detach")),
    }
}

/// Whether a block is `detach { … }`; takes the word.
fn takes_detach(input: ParseStream) -> bool {
    let ahead = input.fork();
    let detach = ahead.call(Ident::parse_any).is_ok_and(|word| word == "detach")
        && ahead
            .parse::<TokenTree>()
            .is_ok_and(|body| matches!(body, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace))
        && ahead.is_empty();
    if detach {
        let _: Result<Ident> = input.call(Ident::parse_any);
    }
    detach
}

/// `eager` or `skip`, alone. Where a condition is taken, the first word is that.
fn parse_word(kind: Kind, has_condition: bool, input: ParseStream) -> Result<Option<Ident>> {
    let ahead = input.fork();
    let Ok(word) = ahead.call(Ident::parse_any) else {
        return Ok(None);
    };
    let alone = ahead.is_empty() || ahead.peek(Token![,]);
    let known = word == "eager" || word == "skip";
    if !alone || !known || kind.takes_condition() && !has_condition {
        return Ok(None);
    }
    input.call(Ident::parse_any).map(Some)
}

/// Whether `name = …` comes next, or the name of an argument that has lost its value.
fn is_named(kind: Kind, input: ParseStream) -> bool {
    let ahead = input.fork();
    let Ok(name) = ahead.call(Ident::parse_any) else {
        return false;
    };
    let alone = ahead.is_empty() || ahead.peek(Token![,]);
    let assigned = ahead.peek(Token![=]) && !ahead.peek(Token![==]) && !ahead.peek(Token![=>]);
    assigned || alone && (name == "crate" || name == "backend" && !kind.takes_condition())
}

fn parse_named(
    kind: Kind,
    input: ParseStream,
    backend: &mut Option<TokenStream>,
    root: &mut Option<TokenStream>,
) -> Result<()> {
    let name = input.call(Ident::parse_any)?;
    let (slot, example) = if name == "backend" {
        (backend, "backend = Mlx")
    } else if name == "crate" {
        (root, "crate = renamed_grad_runtime")
    } else {
        return Err(Error::new(
            name.span(),
            format!(
                "unknown argument `{name}`\nhelp: `#[{}]` takes {}`backend = path`, `crate = path`, `detach` and `eager`",
                kind.name(),
                if kind.takes_condition() { "a condition, " } else { "" },
            ),
        ));
    };
    if slot.is_some() {
        let help =
            if name == "backend" { "for two backends, write the attribute twice" } else { "remove one of the two" };
        return Err(Error::new(name.span(), format!("`{name}` is given twice\nhelp: {help}")));
    }
    let equals: Option<Token![=]> = input.parse()?;
    if equals.is_none() || input.is_empty() || input.peek(Token![,]) {
        let message = format!("`{name}` needs a value\nhelp: write `{example}`");
        return Err(Error::new(name.span(), message));
    }
    let value = if input.peek(LitStr) { None } else { input.parse::<ExprPath>().ok() };
    // What is left belongs to a value that is no path.
    let rest = until_comma(input)?;
    match value {
        Some(path) if rest.is_empty() => *slot = Some(path.into_token_stream()),
        value => {
            let message =
                format!("the value of `{name}` is a path\nhelp: write `{example}`, without quotes or calls");
            return Err(Error::new_spanned(quote!(#value #rest), message));
        }
    }
    Ok(())
}

/// The tokens before the next comma.
fn until_comma(input: ParseStream) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(tokens)
}

/// `<path>` at the start of a block, unless it is the start of a qualified path such as `<T>::new()`.
fn parse_selector(kind: Kind, input: ParseStream) -> Result<Option<TokenStream>> {
    let ahead = input.fork();
    let Ok(open) = ahead.parse::<Token![<]>() else {
        return Ok(None);
    };
    let names = Punctuated::<Path, Token![,]>::parse_separated_nonempty(&ahead);
    let Ok(close) = ahead.parse::<Token![>]>() else {
        return Ok(None);
    };
    if ahead.peek(Token![::]) {
        return Ok(None);
    }
    input.advance_to(&ahead);
    match names.unwrap_or_default() {
        names if names.len() == 1 => Ok(Some(names.into_token_stream())),
        names if names.is_empty() => Err(Error::new_spanned(
            quote!(#open #close),
            "this selector names no backend\n\
             help: write `<Mlx>`, for example, or leave it out to switch every installed backend",
        )),
        names => {
            let name = kind.name();
            Err(Error::new_spanned(
                quote!(#open #names #close),
                format!(
                    "a selector names one backend\nhelp: nest two blocks: `{name}! {{ <A> {name}! {{ <B> … }} }}`"
                ),
            ))
        }
    }
}

/// `expression,` at the start of a block.
fn parse_block_condition(kind: Kind, input: ParseStream) -> Result<Option<TokenStream>> {
    let ahead = input.fork();
    let condition: Result<Expr> = ahead.parse();
    let comma: Result<Token![,]> = ahead.parse();
    match (condition, comma) {
        (Ok(condition), Ok(_)) => {
            input.advance_to(&ahead);
            if kind.takes_condition() {
                Ok(Some(condition.into_token_stream()))
            } else {
                let name = kind.name();
                Err(Error::new_spanned(
                    condition,
                    format!("`{name}!` takes no condition\nhelp: write `set_grad_enabled!(condition, {{ … }})`"),
                ))
            }
        }
        _ if kind == Kind::SetGradEnabled => Err(Error::new(
            if input.is_empty() { Span::call_site() } else { input.span() },
            "`set_grad_enabled!` needs a condition and a comma before the block\n\
             help: write `set_grad_enabled!(condition, { … })`",
        )),
        _ => Ok(None),
    }
}

fn no_condition(kind: Kind, argument: &Expr) -> Error {
    let name = kind.name();
    let help = match argument {
        Expr::Path(path) => {
            let path = path.to_token_stream();
            format!(
                "for one backend write `#[{name}(backend = {path})]`; a condition goes with `#[set_grad_enabled(…)]`"
            )
        }
        _ => "a condition goes with `#[set_grad_enabled(…)]`".to_owned(),
    };
    Error::new_spanned(argument, format!("`#[{name}]` takes no condition\nhelp: {help}"))
}
