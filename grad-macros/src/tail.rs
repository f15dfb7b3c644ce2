//! Closures and async blocks at the end of a block: what they do is in the scope when it is done.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::Parser;
use syn::{Block, Error, Expr, ExprAsync, ExprClosure, ReturnType, Stmt};

use crate::args::Detach;
use crate::is_punct;

/// A body whose value runs later.
pub struct Tail {
    statements: Vec<Stmt>,
    work: Work,
}

enum Work {
    Closure(ExprClosure),
    Async(ExprAsync),
}

impl Tail {
    /// `None` where `body` ends in something else, or is only half typed: what is wrong is for rustc to say.
    pub fn of(body: &TokenStream) -> Option<Self> {
        let body = ungrouped(body.clone());
        // Most bodies can be told by a look at their tokens.
        let hint = |token| match token {
            TokenTree::Ident(word) => word == "async",
            token => is_punct(&token, '|'),
        };
        if !body.clone().into_iter().any(hint) {
            return None;
        }
        let mut statements = Block::parse_within.parse2(body).ok()?;
        match statements.pop()? {
            Stmt::Expr(last, None) => Some(Self { statements, work: Work::of(last)? }),
            _ => None,
        }
    }

    /// The body again, with `enter` evaluated in it each time the work runs, and what that hands out put through
    /// `detach`.
    ///
    /// `kept` is the variable that `enter` uses, if any: a reference to a static.
    pub fn entering(
        self,
        root: &TokenStream,
        enter: &TokenStream,
        kept: Option<&Ident>,
        detach: Option<&Detach>,
    ) -> TokenStream {
        let span = Span::mixed_site();
        let scoped = quote_spanned!(span=> #root::__private::scoped);
        let detached = |future: TokenStream| match detach {
            None => future,
            Some(detach) => {
                let detach = detach.closure();
                quote_spanned!(span=> #root::__private::detached_future(#future, #detach))
            }
        };
        let work = match self.work {
            Work::Async(block) => {
                let future = detached(block.into_token_stream());
                quote_spanned!(span=> #scoped(move || #enter, #future))
            }
            Work::Closure(mut closure) => {
                let body = closure.body;
                let body = if closure.asyncness.is_some() {
                    let future = detached(quote_spanned!(span=> async { #body }));
                    quote_spanned!(span=> { #scoped(move || #enter, #future).await })
                } else {
                    // What it makes to be run later is in the scope as well.
                    let later = Self::of(&body.to_token_stream());
                    let value = if let Some(tail) = later {
                        let body = tail.entering(root, enter, kept, detach);
                        // What the variable refers to is captured, and not the variable, which is gone when this runs.
                        let kept = kept.map(|kept| quote_spanned!(span=> let #kept = &*#kept;));
                        quote_spanned!(span=> match () { () => { #kept #body } })
                    } else if let Some(detach) = detach {
                        // `return` and `?` in it leave with what is to be detached.
                        let output = &closure.output;
                        let body = match output {
                            ReturnType::Default => body.into_token_stream(),
                            // A closure that states its type has a block for its body.
                            ReturnType::Type(..) => quote_spanned!(span=> { #body }),
                        };
                        detach.apply(&quote_spanned!(span=> #root::__private::call(|| #output #body)))
                    } else {
                        quote_spanned!(span=> match () { () => #body })
                    };
                    quote_spanned!(span=> {
                        let _guard = #enter;
                        #value
                    })
                };
                closure.body = Box::new(Expr::Verbatim(body));
                closure.into_token_stream()
            }
        };
        let statements = self.statements;
        quote!(#(#statements)* #work)
    }
}

impl Work {
    fn of(expression: Expr) -> Option<Self> {
        match expression {
            Expr::Closure(closure) => Some(Self::Closure(closure)),
            Expr::Async(block) => Some(Self::Async(block)),
            Expr::Paren(inner) => Self::of(*inner.expr),
            Expr::Group(inner) => Self::of(*inner.expr),
            _ => None,
        }
    }
}

/// What a lone group holds: braces, or parentheses around a closure.
fn ungrouped(body: TokenStream) -> TokenStream {
    let mut tokens = body.clone().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Group(group)), None)
            if matches!(group.delimiter(), Delimiter::Brace | Delimiter::None | Delimiter::Parenthesis) =>
        {
            ungrouped(group.stream())
        }
        _ => body,
    }
}

/// Expands `[$crate] work`, which `carry!` is made of.
pub fn expand_carry(input: TokenStream) -> TokenStream {
    let mut tokens = input.into_iter();
    let root = match tokens.next() {
        Some(TokenTree::Group(group)) => group.stream(),
        _ => TokenStream::new(),
    };
    let work: TokenStream = tokens.collect();
    let Some(tail) = Tail::of(&work) else {
        let message = "`carry!` needs a closure or an async block\n\
                       help: write `carry!(|x| …)`; a closure that has a name is carried by the function, `carry(f)`, \
                       and a future by `.in_current_grad_mode()`";
        // Of no tokens, it is an error at the call.
        return Error::new_spanned(work, message).into_compile_error();
    };
    let span = Span::mixed_site();
    let modes = Ident::new("modes", span);
    let body = tail.entering(&root, &quote_spanned!(span=> #modes.enter()), Some(&modes), None);
    quote_spanned! {span=> {
        let #modes = #root::Modes::current().lasting();
        #body
    }}
}
