//! Results that run later: which they are, as far as a return type shows, and how they keep their scope.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    GenericArgument, ParenthesizedGenericArguments, PathArguments, PathSegment, ReturnType, Token, TraitBound,
    Type, TypeParamBound,
};

use crate::args::Detach;
use crate::exits::may_exit_early;
use crate::function::at;

/// What runs later, in the type of a result.
pub struct Lazy {
    form: Form,
    /// Where the user wrote the type.
    place: Span,
}

enum Form {
    /// Wrapped as it is.
    Wrapped(Work),
    Closure(Closure),
    /// `Box::new` or `Box::pin` of what is wrapped.
    Boxed(&'static str, Box<Lazy>),
    /// Inside of `Some` or `Ok`; the other variant.
    Variant(&'static str, Box<Lazy>),
}

#[derive(Clone, Copy)]
enum Work {
    Future,
    Iterator,
    Stream,
}

struct Closure {
    by: CalledBy,
    /// As it is written: `for<'a> Fn(&'a T) -> U`.
    bound: TraitBound,
    signature: ParenthesizedGenericArguments,
    /// What it returns may run later too.
    output: Option<Box<Lazy>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CalledBy {
    Ref,
    Mut,
    Value,
}

impl Lazy {
    /// What runs later in a result of type `output`, as far as the type is written out.
    pub fn of_output(output: &ReturnType) -> Option<Self> {
        match output {
            ReturnType::Type(_, ty) => Self::of_type(ty),
            ReturnType::Default => None,
        }
    }

    fn of_type(ty: &Type) -> Option<Self> {
        let form = match ty {
            Type::Paren(inner) => return Self::of_type(&inner.elem),
            Type::Group(inner) => return Self::of_type(&inner.elem),
            Type::ImplTrait(opaque) => opaque.bounds.iter().find_map(Form::of_bound)?,
            Type::Path(path) if path.qself.is_none() => Form::of_path(path.path.segments.last()?)?,
            _ => return None,
        };
        Some(Self { form, place: ty.span() })
    }

    /// An expression for what `value` becomes in the scope that `enter` enters. Both may be evaluated in closures that
    /// move what they use, and so may `detach`, which each thing that is handed out goes through.
    pub fn wrap(
        &self,
        root: &TokenStream,
        enter: &TokenStream,
        detach: Option<&Detach>,
        value: &TokenStream,
    ) -> TokenStream {
        let span = Span::mixed_site();
        let root = &at(self.place, root);
        let inner = Ident::new("inner", span.located_at(self.place)).into_token_stream();
        match &self.form {
            Form::Wrapped(work) => {
                let private = |name| {
                    let name = Ident::new(name, span.located_at(self.place));
                    quote_spanned!(span=> #root::__private::#name)
                };
                let (wrap, detached) = match work {
                    Work::Future => (private("scoped"), private("detached_future")),
                    Work::Iterator => (private("scoped"), private("detached_iterator")),
                    Work::Stream => (private("scoped_stream"), private("detached_stream")),
                };
                let value = match detach {
                    None => value.clone(),
                    Some(detach) => {
                        let detach = detach.closure();
                        quote_spanned!(span=> #detached(#value, #detach))
                    }
                };
                quote_spanned!(span=> {
                    let #inner = #value;
                    #wrap(move || #enter, #inner)
                })
            }
            Form::Closure(closure) => closure.wrap(root, enter, detach, value),
            Form::Boxed(how, what) => {
                let how = Ident::new(how, span);
                let wrapped = what.wrap(root, enter, detach, value);
                quote_spanned!(span=> #root::__private::Box::#how(#wrapped))
            }
            Form::Variant("None", what) => {
                let wrapped = what.wrap(root, enter, detach, &inner);
                quote_spanned! {span=>
                    match #value {
                        ::core::option::Option::Some(#inner) => ::core::option::Option::Some(#wrapped),
                        ::core::option::Option::None => ::core::option::Option::None,
                    }
                }
            }
            Form::Variant(_, what) => {
                let wrapped = what.wrap(root, enter, detach, &inner);
                quote_spanned! {span=>
                    match #value {
                        ::core::result::Result::Ok(#inner) => ::core::result::Result::Ok(#wrapped),
                        ::core::result::Result::Err(error) => ::core::result::Result::Err(error),
                    }
                }
            }
        }
    }

    /// An expression for the value that `body` makes, of the type `ty`. Where that is a closure, its arguments have the
    /// types that the signature gives them, as they would without us.
    pub fn make(&self, root: &TokenStream, ty: &Type, body: &Group) -> TokenStream {
        if let Some(made) = self.make_in_place(root, ty, body) {
            return made;
        }
        // `return` and `?` leave the closure with the value that is to be wrapped.
        let span = Span::mixed_site();
        let body = quote_spanned!(span=> move || -> #ty #body);
        if let Form::Closure(closure) = &self.form
            && let Some(expectation) = closure.expectation()
        {
            return quote_spanned!(span=> { #expectation(#body) });
        }
        quote_spanned!(span=> #root::__private::call(#body))
    }

    /// The same without a closure of ours around `body`, so that errors are what they would be without us. `None` if the
    /// body may leave the function before its end.
    pub fn make_in_place(&self, root: &TokenStream, ty: &Type, body: &Group) -> Option<TokenStream> {
        if may_exit_early(body) {
            return None;
        }
        let span = Span::mixed_site();
        if let Form::Closure(closure) = &self.form {
            return Some(closure.expected(&at(self.place, root), self.place, body));
        }
        Some(quote_spanned!(span=> {
            let made: #ty = match () { () => #body };
            made
        }))
    }
}

impl Form {
    fn of_bound(bound: &TypeParamBound) -> Option<Self> {
        let TypeParamBound::Trait(bound) = bound else {
            return None;
        };
        let segment = bound.path.segments.last()?;
        let by = match segment.ident.to_string().as_str() {
            "Future" => return Some(Self::Wrapped(Work::Future)),
            "Iterator" | "DoubleEndedIterator" | "ExactSizeIterator" | "FusedIterator" => {
                return Some(Self::Wrapped(Work::Iterator));
            }
            "Stream" | "FusedStream" => return Some(Self::Wrapped(Work::Stream)),
            "Fn" => CalledBy::Ref,
            "FnMut" => CalledBy::Mut,
            "FnOnce" => CalledBy::Value,
            _ => return None,
        };
        let PathArguments::Parenthesized(signature) = &segment.arguments else {
            return None;
        };
        let output = Lazy::of_output(&signature.output).map(Box::new);
        Some(Self::Closure(Closure { by, bound: bound.clone(), signature: signature.clone(), output }))
    }

    fn of_path(segment: &PathSegment) -> Option<Self> {
        let what = |work| Lazy { form: Self::Wrapped(work), place: segment.ident.span() };
        match segment.ident.to_string().as_str() {
            "Box" => Self::of_dyn(first_type(segment)?, "new"),
            "Pin" => match first_type(segment)? {
                Type::Path(boxed) => match boxed.path.segments.last()? {
                    boxed if boxed.ident == "Box" => Self::of_dyn(first_type(boxed)?, "pin"),
                    _ => None,
                },
                _ => None,
            },
            "BoxFuture" | "LocalBoxFuture" => Some(Self::Boxed("pin", Box::new(what(Work::Future)))),
            "BoxStream" | "LocalBoxStream" => Some(Self::Boxed("pin", Box::new(what(Work::Stream)))),
            "Option" => Some(Self::Variant("None", Box::new(Lazy::of_type(first_type(segment)?)?))),
            "Result" => Some(Self::Variant("Err", Box::new(Lazy::of_type(first_type(segment)?)?))),
            _ => None,
        }
    }

    fn of_dyn(ty: &Type, how: &'static str) -> Option<Self> {
        let bounds = match ty {
            Type::TraitObject(object) => &object.bounds,
            Type::ImplTrait(opaque) => &opaque.bounds,
            _ => return None,
        };
        let form = bounds.iter().find_map(Self::of_bound)?;
        Some(Self::Boxed(how, Box::new(Lazy { form, place: ty.span() })))
    }
}

fn first_type(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

impl Closure {
    /// A closure around the closure `value`: only closures can be called on stable Rust.
    fn wrap(
        &self,
        root: &TokenStream,
        enter: &TokenStream,
        detach: Option<&Detach>,
        value: &TokenStream,
    ) -> TokenStream {
        let span = Span::mixed_site();
        let arguments: Vec<_> =
            (0..self.signature.inputs.len()).map(|n| format_ident!("a{n}", span = span)).collect();
        let (mutable, inside) = match self.by {
            CalledBy::Ref => (None, "inside"),
            CalledBy::Mut => (Some(Token![mut](span)), "inside_mut"),
            CalledBy::Value => (None, "into_inside"),
        };
        let inside = Ident::new(inside, span);
        let call = quote_spanned!(span=> call(#(#arguments),*));
        let result = match (&self.output, detach) {
            (None, None) => call,
            (None, Some(detach)) => detach.apply(&call),
            (Some(lazy), _) => lazy.wrap(root, enter, detach, &call),
        };
        quote_spanned! {span=> {
            let #mutable held = #root::__private::scoped(move || #enter, #value);
            move |#(#arguments),*| {
                let (_guard, call) = held.#inside();
                #result
            }
        }}
    }

    /// The closure that `body` makes. A trait object that nobody uses says which arguments are expected: it can name
    /// whatever the signature can.
    fn expected(&self, root: &TokenStream, place: Span, body: &Group) -> TokenStream {
        let span = Span::mixed_site();
        let put = Ident::new("put", span.located_at(place));
        let TraitBound { lifetimes, path, .. } = &self.bound;
        quote_spanned! {span=> {
            let mut made = ::core::option::Option::None;
            let _: &mut dyn #lifetimes #path = #root::__private::#put(match () { () => #body }, &mut made);
            match made {
                ::core::option::Option::Some(made) => made,
                ::core::option::Option::None => ::core::unreachable!(),
            }
        }}
    }

    /// A function that calls what makes the closure, and knows its signature. Its bound stands for the types by
    /// parameters, since a function inside of a function sees none of those around it. `None` where that cannot be
    /// written.
    fn expectation(&self) -> Option<TokenStream> {
        if self.bound.lifetimes.is_some() {
            return None;
        }
        let span = Span::mixed_site();
        let mut types = Abstracted::default();
        let inputs = self.signature.inputs.iter().map(|argument| types.abstracted(&argument.ty, true));
        let inputs: Vec<_> = inputs.collect::<Option<_>>()?;
        let output = match &self.signature.output {
            ReturnType::Default => quote_spanned!(span=> ()),
            ReturnType::Type(_, ty) => types.abstracted(ty, true)?,
        };
        let Abstracted { parameters, types, .. } = types;
        let by = match self.by {
            CalledBy::Ref => "Fn",
            CalledBy::Mut => "FnMut",
            CalledBy::Value => "FnOnce",
        };
        let by = Ident::new(by, span);
        // Items are not hygienic, hence the name.
        Some(quote_spanned! {span=>
            fn __grad_expect<#(#parameters,)* __F, __M>(make: __M) -> __F
            where
                __F: ::core::ops::#by(#(#inputs),*) -> #output,
                __M: ::core::ops::FnOnce() -> __F,
            {
                make()
            }
            __grad_expect::<#(#types,)* _, _>
        })
    }
}

#[derive(Default)]
struct Abstracted {
    /// Each with its bound.
    parameters: Vec<TokenStream>,
    types: Vec<TokenStream>,
}

impl Abstracted {
    /// `ty` with a parameter for each part that has no lifetime of the closure's own; `None` if there is one that this
    /// cannot reach.
    fn abstracted(&mut self, ty: &Type, sized: bool) -> Option<TokenStream> {
        if !may_elide(ty.to_token_stream()) {
            let span = Span::mixed_site();
            let parameter = format_ident!("__P{}", self.parameters.len(), span = span);
            let bound = (!sized).then(|| quote_spanned!(span=> : ?::core::marker::Sized));
            self.types.push(ty.to_token_stream());
            self.parameters.push(quote!(#parameter #bound));
            return Some(parameter.into_token_stream());
        }
        match ty {
            Type::Paren(inner) => self.abstracted(&inner.elem, sized),
            Type::Group(inner) => self.abstracted(&inner.elem, sized),
            Type::Reference(reference)
                if reference.lifetime.as_ref().is_none_or(|lifetime| lifetime.ident == "_") =>
            {
                let (and, mutability) = (reference.and_token, &reference.mutability);
                // The trait object's own lifetime is that of the reference.
                if matches!(*reference.elem, Type::TraitObject(_)) {
                    return None;
                }
                let inner = self.abstracted(&reference.elem, false)?;
                Some(quote!(#and #mutability #inner))
            }
            _ => None,
        }
    }
}

/// Whether `&` without a name, or `'_`, may stand in a type: looked for in tokens, so that it errs on the safe side.
fn may_elide(ty: TokenStream) -> bool {
    let mut tokens = ty.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let elided = match &token {
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                !matches!(tokens.peek(), Some(TokenTree::Punct(quote)) if quote.as_char() == '\'')
            }
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                matches!(tokens.peek(), Some(TokenTree::Ident(name)) if name == "_")
            }
            TokenTree::Group(group) => may_elide(group.stream()),
            _ => false,
        };
        if elided {
            return true;
        }
    }
    false
}
