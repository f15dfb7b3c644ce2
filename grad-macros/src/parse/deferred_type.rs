//! The types of deferred results: values that a function returns and that run later, as far as its return type shows
//! them.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{
    GenericArgument, GenericParam, ParenthesizedGenericArguments, PathArguments, PathSegment, ReturnType,
    TraitBound, Type, TypeParamBound,
};

use crate::tokens::is_punct;
use crate::types::peeled;

/// A deferred result.
pub struct Deferred {
    pub form: Form,
    pub ty: Type,
}

/// How a deferred result is written.
pub enum Form {
    /// `impl Future`, `impl Iterator`, `impl IntoIterator` or `impl Stream`.
    Resumable(Resumable),
    /// `impl Fn()` and its siblings.
    Closure(Closure),
    /// `Box<…>`, `Pin<Box<…>>`, `Rc<…>` or `Arc<…>`.
    Pointer(Pointer, Box<Deferred>),
    /// `Option<…>`.
    Option(Box<Deferred>),
    /// `Result<…, _>`.
    Result(Box<Deferred>),
    /// `(…, _)`: for each element whether it is deferred.
    Tuple(Vec<Option<Deferred>>),
}

/// Deferred work that runs in steps.
pub struct Resumable {
    pub kind: ResumableKind,
    /// The output or the items, if they are deferred too.
    pub item: Option<Box<Deferred>>,
    /// The bound `Copy`, if it is written.
    pub copy: Option<Span>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ResumableKind {
    Future,
    Iterator,
    IntoIterator,
    Stream,
}

/// A closure with its signature.
pub struct Closure {
    pub call_trait: CallTrait,
    /// Whether the trait is `AsyncFn` or one of its siblings.
    pub is_async: bool,
    /// Whether the closure is `Copy`.
    pub is_copy: bool,
    /// As it is written: `for<'a> Fn(&'a T) -> U`.
    pub bound: TraitBound,
    pub signature: ParenthesizedGenericArguments,
    /// The closure's own result, if that is deferred too.
    pub output: Option<Box<Deferred>>,
}

/// The receiver of a call: `&self`, `&mut self` or `self`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum CallTrait {
    Fn,
    FnMut,
    FnOnce,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    Box,
    PinnedBox,
    Rc,
    Arc,
}

impl ResumableKind {
    /// Returns whether it runs by a poll, for which it is pinned.
    pub fn is_polled(self) -> bool {
        matches!(self, Self::Future | Self::Stream)
    }
}

impl Deferred {
    /// Returns where the type is written.
    pub fn span(&self) -> Span {
        self.ty.span()
    }

    /// Returns the deferred results directly in this one.
    pub fn parts(&self) -> Vec<&Self> {
        match &self.form {
            Form::Resumable(Resumable { item: part, .. }) | Form::Closure(Closure { output: part, .. }) => {
                part.as_deref().into_iter().collect()
            }
            Form::Pointer(_, part) | Form::Option(part) | Form::Result(part) => vec![part],
            Form::Tuple(elements) => elements.iter().flatten().collect(),
        }
    }
}

/// Recognizes a deferred result in a return type.
pub fn of_output(output: &ReturnType) -> Option<Deferred> {
    match output {
        ReturnType::Type(_, ty) => of_type(ty),
        ReturnType::Default => None,
    }
}

fn of_type(ty: &Type) -> Option<Deferred> {
    let form = match peeled(ty) {
        Type::ImplTrait(opaque) => of_bounds(&opaque.bounds)?,
        Type::Path(path) if path.qself.is_none() => of_path(path.path.segments.last()?, ty)?,
        Type::Tuple(tuple) => {
            let elements: Vec<_> = tuple.elems.iter().map(of_type).collect();
            elements.iter().any(Option::is_some).then_some(Form::Tuple(elements))?
        }
        _ => return None,
    };
    Some(Deferred { form, ty: ty.clone() })
}

/// Recognizes the bounds of `impl Trait` or `dyn Trait`.
fn of_bounds<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> Option<Form> {
    let traits = bounds.into_iter().filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) => Some((bound, bound.path.segments.last()?)),
        _ => None,
    });
    let traits: Vec<_> = traits.collect();
    let copy = traits.iter().find(|(_, name)| name.ident == "Copy").map(|(bound, _)| bound.span());
    let mut form = traits.iter().find_map(|(bound, name)| of_bound(bound, name))?;
    match &mut form {
        Form::Resumable(resumable) => resumable.copy = copy,
        Form::Closure(closure) => closure.is_copy = copy.is_some(),
        _ => {}
    }
    Some(form)
}

fn of_bound(bound: &TraitBound, segment: &PathSegment) -> Option<Form> {
    let resumable = |kind, item| {
        let item = associated_type(segment, item).and_then(of_type).map(Box::new);
        Some(Form::Resumable(Resumable { kind, item, copy: None }))
    };
    let name = segment.ident.to_string();
    match name.as_str() {
        "Future" | "FusedFuture" => return resumable(ResumableKind::Future, "Output"),
        "Iterator" | "DoubleEndedIterator" | "ExactSizeIterator" | "FusedIterator" => {
            return resumable(ResumableKind::Iterator, "Item");
        }
        "IntoIterator" => return resumable(ResumableKind::IntoIterator, "Item"),
        "Stream" | "FusedStream" => return resumable(ResumableKind::Stream, "Item"),
        _ => {}
    }
    let (is_async, name) = name.strip_prefix("Async").map_or((false, name.as_str()), |name| (true, name));
    let call_trait = match name {
        "Fn" => CallTrait::Fn,
        "FnMut" => CallTrait::FnMut,
        "FnOnce" => CallTrait::FnOnce,
        _ => return None,
    };
    let PathArguments::Parenthesized(signature) = &segment.arguments else {
        return None;
    };
    let output = match &signature.output {
        ReturnType::Type(_, ty) => of_type(&without_binder(ty, bound)).map(Box::new),
        ReturnType::Default => None,
    };
    let (bound, signature) = (bound.clone(), signature.clone());
    Some(Form::Closure(Closure { call_trait, is_async, is_copy: false, bound, signature, output }))
}

fn of_path(segment: &PathSegment, ty: &Type) -> Option<Form> {
    let first = || type_arguments(segment).next();
    let pointer = |pointer, inner: &Type| {
        let in_box = || if pointer == Pointer::Box { of_type(inner) } else { None };
        let inner = of_pointee(inner).or_else(in_box)?;
        // A shared pointer gives `&` alone, by which nothing but a closure runs.
        let is_callable = matches!(&inner.form, Form::Closure(closure) if closure.call_trait == CallTrait::Fn);
        let is_shared = matches!(pointer, Pointer::Rc | Pointer::Arc);
        (is_callable || !is_shared).then(|| Form::Pointer(pointer, Box::new(inner)))
    };
    let pinned = |kind| {
        let item = first().and_then(of_type).map(Box::new);
        let form = Form::Resumable(Resumable { kind, item, copy: None });
        Some(Form::Pointer(Pointer::PinnedBox, Box::new(Deferred { form, ty: ty.clone() })))
    };
    match segment.ident.to_string().as_str() {
        "Box" => pointer(Pointer::Box, first()?),
        "Rc" => pointer(Pointer::Rc, first()?),
        "Arc" => pointer(Pointer::Arc, first()?),
        "Pin" => match peeled(first()?) {
            Type::Path(inner) => match inner.path.segments.last()? {
                segment if segment.ident == "Box" => pointer(Pointer::PinnedBox, type_arguments(segment).next()?),
                _ => None,
            },
            _ => None,
        },
        "BoxFuture" | "LocalBoxFuture" => pinned(ResumableKind::Future),
        "BoxStream" | "LocalBoxStream" => pinned(ResumableKind::Stream),
        "Option" => of_type(first()?).map(Box::new).map(Form::Option),
        "Result" => of_type(first()?).map(Box::new).map(Form::Result),
        _ => None,
    }
}

/// Recognizes what is in a pointer: `dyn Trait` or `impl Trait`.
fn of_pointee(ty: &Type) -> Option<Deferred> {
    let form = match peeled(ty) {
        Type::TraitObject(object) => of_bounds(&object.bounds)?,
        Type::ImplTrait(opaque) => of_bounds(&opaque.bounds)?,
        _ => return None,
    };
    Some(Deferred { form, ty: ty.clone() })
}

fn type_arguments(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    generic_arguments(segment).filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn associated_type<'a>(segment: &'a PathSegment, name: &str) -> Option<&'a Type> {
    generic_arguments(segment).find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if assoc.ident == name => Some(&assoc.ty),
        _ => None,
    })
}

fn generic_arguments(segment: &PathSegment) -> impl Iterator<Item = &GenericArgument> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments.into_iter().flatten()
}

/// Returns a type with `'_` for the lifetimes in the `for<…>` of `bound`, outside of which they have no name.
fn without_binder(ty: &Type, bound: &TraitBound) -> Type {
    fn in_tokens(tokens: TokenStream, names: &[&Ident]) -> TokenStream {
        let mut is_lifetime = false;
        let renamed = tokens.into_iter().map(|token| match token {
            TokenTree::Group(group) => {
                let mut renamed = proc_macro2::Group::new(group.delimiter(), in_tokens(group.stream(), names));
                renamed.set_span(group.span());
                TokenTree::Group(renamed)
            }
            TokenTree::Ident(name) if is_lifetime && names.contains(&&name) => {
                is_lifetime = false;
                TokenTree::Ident(Ident::new("_", name.span()))
            }
            token => {
                is_lifetime = is_punct(&token, '\'');
                token
            }
        });
        renamed.collect()
    }
    let parameters = bound.lifetimes.iter().flat_map(|binder| &binder.lifetimes);
    let names: Vec<_> = parameters
        .filter_map(|parameter| match parameter {
            GenericParam::Lifetime(parameter) => Some(&parameter.lifetime.ident),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        return ty.clone();
    }
    syn::parse2(in_tokens(ty.to_token_stream(), &names)).unwrap_or_else(|_| ty.clone())
}
