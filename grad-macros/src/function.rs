//! Attributes: `#[no_grad]` and its siblings on a function.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::token::Brace;
use syn::visit_mut::{VisitMut, visit_type_mut};
use syn::{Attribute, Error, Expr, LitStr, Meta, Result, ReturnType, Signature, Token, Type, Visibility};

use crate::args::{Detach, Kind, Scope};
use crate::arguments::rebind;
use crate::group::MethodGroup;
use crate::is_punct;
use crate::lazy::Lazy;

/// Expands the attribute `kind`. A mistake is an error beside the item as it was written, so that the rest of the
/// program still finds it.
pub fn expand(kind: Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let parsed = Scope::of_attribute(kind, arguments).and_then(|scope| Ok((scope, parse(kind, item.clone())?)));
    match parsed {
        Ok((scope, _)) if scope.skip => item,
        Ok((scope, Item::Group(mut group))) => match take_second(kind, &scope, &mut group.attributes) {
            None => group.annotate(kind, &scope),
            Some(error) => with_error(&error, group),
        },
        Ok((scope, Item::Function(mut function))) => match take_second(kind, &scope, &mut function.attributes)
            .or_else(|| scope.detached_arguments.as_ref()?.check(&function.signature).err())
        {
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
            "`#[{other}]` and `#[{name}]` stand here together\n\
             help: remove one of the two, or use a block such as `{other}! {{ … }}` inside of the function"
        )
    };
    Some(Error::new_spanned(attributes.remove(at), message))
}

/// The function with its body in `scope`.
pub fn annotate(scope: &Scope, function: &Function) -> TokenStream {
    let Function { attributes, visibility, defaultness, signature, body } = function;
    let (inner_attributes, statements) = split_inner_attributes(body.stream());
    // Where nothing is taken out of it, the body is the user's own group: rustc says twice what is wrong in a copy.
    let mut body = if inner_attributes.is_empty() {
        body.clone()
    } else {
        let mut body = Group::new(Delimiter::Brace, statements);
        body.set_span(function.body.span());
        body
    };

    let lazy = if scope.eager { None } else { Lazy::of_output(&signature.output) };
    let mut signature = signature.clone();
    if let Some(arguments) = &scope.detached_arguments {
        let rebound = rebind(arguments, &scope.root, &mut signature);
        body = with_statements(&rebound, &body);
    }
    let detach = scope.detach(&signature.output);
    let output = &signature.output;
    let statements = match (signature.asyncness, &lazy, &detach) {
        (Some(_), lazy, detach) => in_scope_when_polled(scope, output, lazy.as_ref(), detach.as_ref(), &body),
        (None, Some(lazy), detach) => in_scope_then_lazily(scope, output, lazy, detach.as_ref(), &body),
        (None, None, Some(detach)) => in_scope_detached(scope, output, detach, &body),
        (None, None, None) => in_scope(scope, &body),
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

/// Statements that evaluate `body` in `scope` and detach its value there. `return` and `?` leave the closure with what is
/// to be detached, and temporaries are dropped with it.
fn in_scope_detached(scope: &Scope, output: &ReturnType, detach: &Detach, body: &Group) -> TokenStream {
    let span = Span::mixed_site();
    let (prepare, enter) = scope.prepared();
    let (root, ty) = (&scope.root, nameable(output));
    let detached = detach.apply(&quote_spanned!(span=> #root::__private::call(move || -> #ty #body)));
    quote_spanned! {span=>
        #prepare
        let _guard = #enter;
        #detached
    }
}

/// Statements that evaluate `body` in `scope`, have the scope entered again whenever its value runs, and detach what that
/// hands out.
fn in_scope_then_lazily(
    scope: &Scope,
    output: &ReturnType,
    lazy: &Lazy,
    detach: Option<&Detach>,
    body: &Group,
) -> TokenStream {
    let span = Span::mixed_site();
    let (prepare, enter) = scope.prepared();
    let made = lazy.make(&scope.root, &nameable(output), body);
    let wrapped = lazy.wrap(&scope.root, &enter, detach, &Ident::new("made", span).into_token_stream());
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
fn in_scope_when_polled(
    scope: &Scope,
    output: &ReturnType,
    lazy: Option<&Lazy>,
    detach: Option<&Detach>,
    body: &Group,
) -> TokenStream {
    let span = Span::mixed_site();
    let (prepare, enter) = scope.prepared();
    let root = &scope.root;
    let ty = nameable(output);
    // An async block cannot state its type, so that `?` and coercions would not know what to make. A `return` that is
    // never reached tells them.
    let returns = match output {
        ReturnType::Type(_, written) if !is_never(written) => {
            // Errors say "return type inferred here", so here is where the type stands.
            let root = at(written.span(), &scope.root);
            let place = span.located_at(written.span());
            let never = quote_spanned!(place=> #root::__private::never::<#ty>());
            quote_spanned!(span=> if false { return #never; })
        }
        _ => TokenStream::new(),
    };
    let made = lazy.and_then(|lazy| lazy.make_in_place(root, &ty, body));
    let typed = if let Some(made) = made {
        Group::new(Delimiter::Brace, quote_spanned!(span=> #returns #made))
    } else if returns.is_empty() {
        body.clone()
    } else {
        let mut typed = Group::new(Delimiter::Brace, quote_spanned!(span=> #returns match () { () => #body }));
        typed.set_span(body.span());
        typed
    };
    let mut future = quote_spanned!(span=> async move #typed);
    if let (None, Some(detach)) = (lazy, detach) {
        let detach = detach.closure();
        future = quote_spanned!(span=> #root::__private::detached_future(#future, #detach));
    }
    let polled = quote_spanned!(span=> #root::__private::scoped(move || #enter, #future).await);
    let result = match lazy {
        None => polled,
        Some(lazy) => {
            let wrapped = lazy.wrap(root, &enter, detach, &Ident::new("made", span).into_token_stream());
            quote_spanned!(span=> let made = #polled; #wrapped)
        }
    };
    quote_spanned! {span=>
        #prepare
        #result
    }
}

/// The body with statements before its own.
fn with_statements(statements: &TokenStream, body: &Group) -> Group {
    let rest = body.stream();
    let mut whole = Group::new(Delimiter::Brace, quote!(#statements #rest));
    whole.set_span(body.span());
    whole
}

/// Whether a type is `!`, also as a `$ty:ty` of a `macro_rules!`, which comes in a group without delimiters.
pub fn is_never(ty: &Type) -> bool {
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

/// The type that a body makes, as far as it can be named there.
fn nameable(output: &ReturnType) -> Type {
    let mut ty = match output {
        ReturnType::Type(_, ty) => (**ty).clone(),
        ReturnType::Default => syn::parse_quote!(_),
    };
    InferOpaque.visit_type_mut(&mut ty);
    ty
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
