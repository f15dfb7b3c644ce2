//! Block macros: `no_grad! { … }` and its siblings.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::quote_spanned;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Result};

use crate::args::{Kind, Scope};
use crate::awaits::find_await;
use crate::function::in_scope;
use crate::tail::Tail;

/// Expands `[$crate kind] head body`.
pub fn expand(input: TokenStream) -> TokenStream {
    let mut tokens = input.into_iter();
    let Some((root, kind)) = tokens.next().and_then(forwarded) else {
        let message = "`block!` is what `no_grad!` and its siblings are made of\nhelp: use those";
        return Error::new(Span::call_site(), message).into_compile_error();
    };
    let written: TokenStream = tokens.collect();

    let (scope, body) = match split(kind, root, written) {
        Ok(parts) => parts,
        Err(error) => return error.into_compile_error(),
    };
    let span = Span::mixed_site();
    match scope.and_then(|scope| no_await(kind, body.clone()).map(|()| scope)) {
        Ok(scope) => {
            let Some(tail) = Tail::of(&body) else {
                let statements = in_scope(&scope, &braced(body));
                return quote_spanned!(span=> { #statements });
            };
            let (prepare, enter) = scope.prepared();
            // A closure may only borrow what it uses, so it can hold a condition's outcome in a static alone.
            let lasting = scope.has_condition().then(|| quote_spanned!(span=> let scope = scope.lasting();));
            let body = tail.entering(&scope.root, &enter);
            quote_spanned!(span=> {
                #prepare
                #lasting
                let _guard = #enter;
                #body
            })
        }
        // The body stays, so that what it makes and uses is not missed as well.
        Err(error) => {
            let error = error.into_compile_error();
            let body = braced(body);
            quote_spanned!(span=> { #error match () { () => #body } })
        }
    }
}

/// What the `macro_rules!` put before the user's tokens.
fn forwarded(token: TokenTree) -> Option<(TokenStream, Kind)> {
    let TokenTree::Group(group) = token else {
        return None;
    };
    let mut tokens = group.stream().into_iter();
    let root = tokens.next()?;
    let TokenTree::Ident(name) = tokens.next()? else {
        return None;
    };
    Some((root.into(), Kind::named(&name)?))
}

/// Splits what the user wrote into the scope and the body.
fn split(kind: Kind, root: TokenStream, written: TokenStream) -> Result<(Result<Scope>, TokenStream)> {
    (|input: ParseStream| {
        let scope = Scope::of_block(kind, root, input);
        Ok((scope, input.parse()?))
    })
    .parse2(written)
}

fn no_await(kind: Kind, body: TokenStream) -> Result<()> {
    let Some(span) = find_await(body) else {
        return Ok(());
    };
    let name = kind.name();
    let condition = if kind == Kind::SetGradEnabled { "(…)" } else { "" };
    let message = format!(
        "`.await` inside `{name}!`: while this task waits, others would run in its scope\n\
         help: put `#[{name}{condition}]` on an `async fn`, or `.await` outside of the block"
    );
    Err(Error::new(span, message))
}

/// The body as one brace block: as the user wrote it, or else with braces of ours around.
fn braced(body: TokenStream) -> Group {
    let mut tokens = body.clone().into_iter();
    if let (Some(TokenTree::Group(group)), None) = (tokens.next(), tokens.next())
        && group.delimiter() == Delimiter::Brace
    {
        return group;
    }
    let mut group = Group::new(Delimiter::Brace, body);
    group.set_span(Span::mixed_site());
    group
}
