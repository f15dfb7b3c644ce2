//! The types of deferred results: values that a function returns and that run later, as far as its return type shows
//! them.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{
    GenericArgument, ParenthesizedGenericArguments, PathArguments, PathSegment, ReturnType, TraitBound, Type,
    TypeParamBound,
};

/// A deferred result.
pub struct Deferred {
    pub form: Form,
    /// Where the type is written.
    pub span: Span,
}

/// How a deferred result is written.
pub enum Form {
    /// `impl Future`, `impl Iterator` or `impl Stream`.
    Resumable(Resumable),
    /// `impl Fn()`, `impl FnMut()` or `impl FnOnce()`.
    Closure(Closure),
    /// `Box<dyn …>`.
    Boxed(Box<Deferred>),
    /// `Pin<Box<dyn …>>`.
    Pinned(Box<Deferred>),
    /// `Option<…>`.
    Option(Box<Deferred>),
    /// `Result<…, _>`.
    Result(Box<Deferred>),
}

/// Deferred work that runs in steps.
#[derive(Clone, Copy)]
pub enum Resumable {
    Future,
    Iterator,
    Stream,
}

/// A closure with its signature.
pub struct Closure {
    pub call_trait: CallTrait,
    /// As it is written: `for<'a> Fn(&'a T) -> U`.
    pub bound: TraitBound,
    pub signature: ParenthesizedGenericArguments,
    /// The closure's own result, if that is deferred too.
    pub output: Option<Box<Deferred>>,
}

/// The trait by which a closure is called.
#[derive(Clone, Copy)]
pub enum CallTrait {
    Fn,
    FnMut,
    FnOnce,
}

/// Recognizes a deferred result in a return type.
pub fn of_output(output: &ReturnType) -> Option<Deferred> {
    match output {
        ReturnType::Type(_, ty) => of_type(ty),
        ReturnType::Default => None,
    }
}

fn of_type(ty: &Type) -> Option<Deferred> {
    let form = match ty {
        Type::Paren(inner) => return of_type(&inner.elem),
        Type::Group(inner) => return of_type(&inner.elem),
        Type::ImplTrait(opaque) => opaque.bounds.iter().find_map(of_bound)?,
        Type::Path(path) if path.qself.is_none() => of_path(path.path.segments.last()?)?,
        _ => return None,
    };
    Some(Deferred { form, span: ty.span() })
}

fn of_bound(bound: &TypeParamBound) -> Option<Form> {
    let TypeParamBound::Trait(bound) = bound else {
        return None;
    };
    let segment = bound.path.segments.last()?;
    let call_trait = match segment.ident.to_string().as_str() {
        "Future" => return Some(Form::Resumable(Resumable::Future)),
        "Iterator" | "DoubleEndedIterator" | "ExactSizeIterator" | "FusedIterator" => {
            return Some(Form::Resumable(Resumable::Iterator));
        }
        "Stream" | "FusedStream" => return Some(Form::Resumable(Resumable::Stream)),
        "Fn" => CallTrait::Fn,
        "FnMut" => CallTrait::FnMut,
        "FnOnce" => CallTrait::FnOnce,
        _ => return None,
    };
    let PathArguments::Parenthesized(signature) = &segment.arguments else {
        return None;
    };
    let output = of_output(&signature.output).map(Box::new);
    Some(Form::Closure(Closure { call_trait, bound: bound.clone(), signature: signature.clone(), output }))
}

fn of_path(segment: &PathSegment) -> Option<Form> {
    let pinned = |resumable| {
        let span = segment.ident.span();
        Some(Form::Pinned(Box::new(Deferred { form: Form::Resumable(resumable), span })))
    };
    match segment.ident.to_string().as_str() {
        "Box" => of_dyn(first_type(segment)?).map(Form::Boxed),
        "Pin" => match first_type(segment)? {
            Type::Path(pointer) => match pointer.path.segments.last()? {
                pointer if pointer.ident == "Box" => of_dyn(first_type(pointer)?).map(Form::Pinned),
                _ => None,
            },
            _ => None,
        },
        "BoxFuture" | "LocalBoxFuture" => pinned(Resumable::Future),
        "BoxStream" | "LocalBoxStream" => pinned(Resumable::Stream),
        "Option" => of_type(first_type(segment)?).map(Box::new).map(Form::Option),
        "Result" => of_type(first_type(segment)?).map(Box::new).map(Form::Result),
        _ => None,
    }
}

fn of_dyn(ty: &Type) -> Option<Box<Deferred>> {
    let bounds = match ty {
        Type::TraitObject(object) => &object.bounds,
        Type::ImplTrait(opaque) => &opaque.bounds,
        _ => return None,
    };
    let form = bounds.iter().find_map(of_bound)?;
    Some(Box::new(Deferred { form, span: ty.span() }))
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
