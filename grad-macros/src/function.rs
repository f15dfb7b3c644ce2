//! Attributes: `#[no_grad]` and its siblings on a function.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::token::Brace;
use syn::visit_mut::{VisitMut, visit_type_mut};
use syn::{Attribute, Error, Expr, LitStr, Meta, Result, ReturnType, Signature, Token, Type, Visibility};

use crate::args::{Kind, Scope};
use crate::group::MethodGroup;
use crate::is_punct;
use crate::lazy::Lazy;

/// Expands the attribute `kind`. A mistake is an error beside the item as it was written, so that the rest of the
/// program still finds it.
pub fn expand(kind: Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let parsed = Scope::of_attribute(kind, arguments).and_then(|scope| Ok((scope, parse(kind, item.clone())?)));
    match parsed {
        Ok((scope, _)) if scope.skip => item,
        Ok((scope, Item::Group(group))) => group.annotate(kind, &scope),
        Ok((scope, Item::Function(mut function))) => match take_second(kind, &scope, &mut function.attributes) {
            None => annotate(&scope, &function),
            Some(error) => with_error(&error, *function),
        },
        // Beside an expression there is no place for an error: it takes the expression's.
        Err(error) if syn::parse2::<Expr>(item.clone()).is_ok() => error.into_compile_error(),
        Err(error) => with_error(&error, item),
    }
}

pub fn with_error(error: &Error, item: impl ToTokens) -> TokenStream {
    let mut tokens = error.to_compile_error();
    item.to_tokens(&mut tokens);
    tokens
}

/// What the attributes go on.
enum Item {
    Function(Box<Function>),
    Group(MethodGroup),
}

/// A function with a body.
pub struct Function {
    pub attributes: Vec<Attribute>,
    pub visibility: Visibility,
    pub defaultness: Option<Ident>,
    pub signature: Signature,
    /// Never parsed: a body that is half-typed still makes a function, and what is wrong in it is for rustc to say.
    pub body: Group,
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attributes, visibility, defaultness, signature, body } = self;
        tokens.extend(quote!(#(#attributes)* #visibility #defaultness #signature #body));
    }
}

fn parse(kind: Kind, item: TokenStream) -> Result<Item> {
    (|input: ParseStream| {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        if let Some(group) = MethodGroup::parse(&attributes, &visibility, input) {
            return Ok(Item::Group(group));
        }
        if !is_function(input) {
            return Err(not_a_function(kind, input));
        }
        let signature: Signature = input.parse()?;
        let body = parse_body(kind, input)?;
        if let Some(constness) = signature.constness {
            return Err(Error::new(
                constness.span,
                format!(
                    "`#[{}]` does not go on a `const fn`, which may run where there is no grad mode: at compile time\n\
                     help: remove `const`, or annotate the function that calls this one",
                    kind.name()
                ),
            ));
        }
        let function = Function { attributes, visibility, defaultness: None, signature, body };
        Ok(Item::Function(Box::new(function)))
    })
    .parse2(item)
}

pub fn is_function(input: ParseStream) -> bool {
    let ahead = input.fork();
    while ahead.peek(Token![const])
        || ahead.peek(Token![async])
        || ahead.peek(Token![unsafe])
        || ahead.peek(Token![extern])
        || ahead.peek(LitStr)
    {
        if ahead.parse::<TokenTree>().is_err() {
            return false;
        }
    }
    ahead.peek(Token![fn])
}

pub fn parse_body(kind: Kind, input: ParseStream) -> Result<Group> {
    let mut token: TokenTree = input.parse()?;
    loop {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return Ok(group),
            // A `$body:block` of a `macro_rules!` comes in a group without delimiters.
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                token = syn::parse2(group.stream())?;
            }
            token => return Err(no_body(kind, token.span())),
        }
    }
}

fn no_body(kind: Kind, span: Span) -> Error {
    let name = kind.name();
    let message = format!(
        "`#[{name}]` needs a body to run in the scope, and this function has none\n\
         help: annotate it where it is implemented, or give it a default body"
    );
    Error::new(span, message)
}

fn not_a_function(kind: Kind, input: ParseStream) -> Error {
    let name = kind.name();
    // `unsafe impl`, `auto trait`: the second word is the one that says what it is.
    let ahead = input.fork();
    if ahead.peek(Token![unsafe]) || ahead.peek(Token![auto]) {
        let _: Result<TokenTree> = ahead.parse();
    }
    let span = ahead.span();
    let condition = if kind == Kind::SetGradEnabled { "…, " } else { "" };
    let runs_later = |what, example| {
        let message =
            format!("`#[{name}]` goes on a function, not on {what}\nhelp: write `{name}!({condition}{example})`");
        Error::new(span, message)
    };
    if ahead.peek(Token![async]) && (ahead.peek2(Brace) || ahead.peek2(Token![move]) && ahead.peek3(Brace)) {
        return runs_later("an async block", "async { … }");
    }
    if ahead.peek(Token![|]) || ahead.peek(Token![||]) || ahead.peek(Token![move]) || ahead.peek(Token![async]) {
        return runs_later("a closure", "|x| …");
    }
    let keyword = ahead.call(Ident::parse_any).map(|word| word.to_string());
    let (what, help) = match keyword.as_deref().unwrap_or_default() {
        // Only functions without a body are `safe`: those of `extern` blocks.
        "safe" => return no_body(kind, span),
        "mod" => ("a module", "annotate each of its functions"),
        "extern" => ("an `extern` block", "annotate the functions that call what it declares"),
        "struct" => ("a struct", "annotate the functions and methods that use it"),
        "enum" => ("an enum", "annotate the functions and methods that use it"),
        "union" => ("a union", "annotate the functions and methods that use it"),
        "type" => ("a type alias", "annotate the functions and methods that use it"),
        "use" => ("an import", "annotate the function where it is defined, or the one that calls it"),
        "const" => ("a constant", "annotate the functions that use it"),
        "static" => ("a static", "annotate the functions that use it"),
        "let" => {
            let message =
                format!("`#[{name}]` goes on a function, not on a `let`\nhelp: write `let … = {name}! {{ … }};`");
            return Error::new(span, message);
        }
        _ => {
            let message =
                format!("`#[{name}]` goes on a function\nhelp: for an expression, write `{name}! {{ … }}`");
            return Error::new(span, message);
        }
    };
    Error::new(span, format!("`#[{name}]` goes on a function, not on {what}\nhelp: {help}"))
}

/// Takes out another attribute of ours, and says that it is one too many: the compiler expands the first one first, so
/// that its scope would be the inner one, and nobody reads it that way. Attributes for different backends agree in any
/// order.
fn take_second(kind: Kind, scope: &Scope, attributes: &mut Vec<Attribute>) -> Option<Error> {
    let conflicts = |attribute: &Attribute| {
        let name = &attribute.path().segments.last()?.ident;
        let other = Kind::named(name)?;
        let arguments = match &attribute.meta {
            Meta::List(list) => list.tokens.clone(),
            Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
        };
        // What is wrong in its arguments, it says when it is expanded.
        let other_scope = Scope::of_attribute(other, arguments).ok()?;
        (!scope.is_apart_from(&other_scope)).then_some(other)
    };
    let (at, other) = attributes.iter().enumerate().find_map(|(at, a)| Some((at, conflicts(a)?)))?;
    let (name, other) = (kind.name(), other.name());
    let message = if name == other {
        format!("`#[{name}]` stands here twice\nhelp: remove one of the two")
    } else {
        format!(
            "`#[{other}]` and `#[{name}]` on one function\n\
             help: remove one of the two, or use a block such as `{other}! {{ … }}` inside of the function"
        )
    };
    Some(Error::new_spanned(attributes.remove(at), message))
}

/// The function with its body in `scope`.
pub fn annotate(scope: &Scope, function: &Function) -> TokenStream {
    let Function { attributes, visibility, defaultness, signature, body } = function;
    let (inner_attributes, statements) = split_inner_attributes(body.stream());
    let mut body = Group::new(Delimiter::Brace, statements);
    body.set_span(function.body.span());

    let lazy = if scope.eager { None } else { Lazy::of_output(&signature.output) };
    let statements = match (signature.asyncness, lazy) {
        (Some(_), lazy) => in_scope_when_polled(scope, &signature.output, lazy.as_ref(), &body),
        (None, Some(lazy)) => in_scope_then_lazily(scope, &signature.output, &lazy, &body),
        (None, None) => in_scope(scope, &body),
    };
    // The braces are the user's own, so that errors about the body as a whole point there.
    let mut body = Group::new(Delimiter::Brace, quote!(#inner_attributes #statements));
    body.set_span(function.body.span());
    quote!(#(#attributes)* #visibility #defaultness #signature #body)
}

/// `#![…]` and `//! …` stand first in a function, so they cannot stay where the body goes.
fn split_inner_attributes(body: TokenStream) -> (TokenStream, TokenStream) {
    let mut tokens = body.into_iter().peekable();
    let mut attributes = TokenStream::new();
    let mut rest = TokenStream::new();
    while let Some(hash) = tokens.next_if(|token| is_punct(token, '#')) {
        let Some(bang) = tokens.next_if(|token| is_punct(token, '!')) else {
            rest.extend([hash]);
            break;
        };
        attributes.extend([hash, bang]);
        attributes.extend(tokens.next());
    }
    rest.extend(tokens);
    (attributes, rest)
}

/// Statements that enter `scope` and evaluate `body` in it.
pub fn in_scope(scope: &Scope, body: &Group) -> TokenStream {
    let span = Span::mixed_site();
    let (prepare, enter) = scope.prepared();
    // Why a `match`: the body of an arm drops its own temporaries, in every edition. Those of a block's last expression
    // would outlive the guard before edition 2024. A variable for the value would lose the type that is expected of
    // it, and with it the coercions; a labelled block would forbid plain `break` and `continue`.
    quote_spanned! {span=>
        #prepare
        let _guard = #enter;
        match () { () => #body }
    }
}

/// Statements that evaluate `body` in `scope`, and have the scope entered again whenever its value runs.
fn in_scope_then_lazily(scope: &Scope, output: &ReturnType, lazy: &Lazy, body: &Group) -> TokenStream {
    let span = Span::mixed_site();
    let (prepare, enter) = scope.prepared();
    let mut ty = Type::Infer(syn::parse_quote!(_));
    if let ReturnType::Type(_, written) = output {
        ty.clone_from(written);
        InferOpaque.visit_type_mut(&mut ty);
    }
    // `return` and `?` leave the closure with the value that is to be wrapped, and temporaries are dropped with it.
    let made = lazy.make(&scope.root, &quote_spanned!(span=> move || -> #ty #body));
    let wrapped = lazy.wrap(&scope.root, &enter, &Ident::new("made", span).into_token_stream());
    quote_spanned! {span=>
        #prepare
        let made = {
            let _guard = #enter;
            #made
        };
        #wrapped
    }
}

/// Statements of an `async fn` that enter `scope` at each poll of `body`, and while what is left of it is dropped.
fn in_scope_when_polled(scope: &Scope, output: &ReturnType, lazy: Option<&Lazy>, body: &Group) -> TokenStream {
    let span = Span::mixed_site();
    let (prepare, enter) = scope.prepared();
    let root = &scope.root;
    // An async block cannot state its type, so that `?` and coercions would not know what to make. A `return` that is
    // never reached tells them.
    let returns = match output {
        ReturnType::Type(_, ty) if !is_never(ty) => {
            let mut ty = ty.clone();
            InferOpaque.visit_type_mut(&mut ty);
            // Errors say "return type inferred here", so here is where the type stands.
            let root = at(ty.span(), &scope.root);
            let place = span.located_at(ty.span());
            let never = quote_spanned!(place=> #root::__private::never::<#ty>());
            quote_spanned!(span=> if false { return #never; })
        }
        _ => TokenStream::new(),
    };
    let statements = body.stream();
    let mut typed = Group::new(Delimiter::Brace, quote!(#returns #statements));
    typed.set_span(body.span());
    let polled = quote_spanned!(span=> #root::__private::scoped(move || #enter, async move #typed).await);
    let result = match lazy {
        None => polled,
        Some(lazy) => {
            let wrapped = lazy.wrap(root, &enter, &Ident::new("made", span).into_token_stream());
            quote_spanned!(span=> let made = #polled; #wrapped)
        }
    };
    quote_spanned! {span=>
        #prepare
        #result
    }
}

/// Whether a type is `!`, also as a `$ty:ty` of a `macro_rules!`, which comes in a group without delimiters.
fn is_never(ty: &Type) -> bool {
    match ty {
        Type::Never(_) => true,
        Type::Group(group) => is_never(&group.elem),
        Type::Paren(parentheses) => is_never(&parentheses.elem),
        _ => false,
    }
}

/// The same tokens at another place, for error messages.
pub fn at(place: Span, path: &TokenStream) -> TokenStream {
    let moved = path.clone().into_iter().map(|mut token| {
        token.set_span(place.resolved_at(token.span()));
        token
    });
    moved.collect()
}

/// Replaces `impl Trait`, which is the function's own and cannot be named in its body, by `_`.
struct InferOpaque;

impl VisitMut for InferOpaque {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if matches!(ty, Type::ImplTrait(_)) {
            *ty = syn::parse_quote!(_);
        } else {
            visit_type_mut(self, ty);
        }
    }
}
