//! Arguments that are detached on their way in: `detach(args)`.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::visit_mut::{VisitMut, visit_pat_ident_mut};
use syn::{Error, FnArg, Pat, PatIdent, Result, Signature, Token, Type};

use crate::args::Kind;
use crate::function::at;

/// Which arguments.
pub enum Arguments {
    All,
    Named(Vec<Ident>),
}

impl Arguments {
    /// Parses what stands in the parentheses: `args`, or the names of some.
    pub fn parse(kind: Kind, group: &Group) -> Result<Self> {
        let names =
            |input: ParseStream| Punctuated::<Ident, Token![,]>::parse_terminated_with(input, Ident::parse_any);
        // What is no list of names gets the same answer as an empty one: what to write.
        let names = names.parse2(group.stream()).unwrap_or_default();
        if names.is_empty() {
            let message = format!(
                "`detach(…)` says which arguments are detached\n\
                 help: write `#[{}(detach(args))]` for all of them, or their names",
                kind.name()
            );
            return Err(Error::new_spanned(group, message));
        }
        if names.len() == 1 && names[0] == "args" {
            return Ok(Self::All);
        }
        Ok(Self::Named(names.into_iter().collect()))
    }

    fn has(&self, name: &Ident) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
        }
    }

    /// An error for a name that is no argument of `signature`.
    pub fn check(&self, signature: &Signature) -> Result<()> {
        let Self::Named(names) = self else {
            return Ok(());
        };
        let mut bindings = Bindings { of: &Self::All, found: Vec::new() };
        bindings.visit_signature_mut(&mut signature.clone());
        let Some(name) = names.iter().find(|name| !bindings.found.iter().any(|binding| binding.ident == **name))
        else {
            return Ok(());
        };
        let message = if name == "self" {
            "`self` keeps its name, so it cannot be detached\n\
             help: detach the fields that matter, inside of the function"
                .to_owned()
        } else {
            format!("this function has no argument `{name}`\nhelp: write `detach(args)` for all of them")
        };
        Err(Error::new(name.span(), message))
    }
}

/// The names that patterns bind, which lose their `mut`: it goes to the name that is bound anew.
struct Bindings<'a> {
    of: &'a Arguments,
    found: Vec<PatIdent>,
}

impl VisitMut for Bindings<'_> {
    fn visit_pat_ident_mut(&mut self, binding: &mut PatIdent) {
        if self.of.has(&binding.ident) {
            self.found.push(binding.clone());
            if binding.by_ref.is_none() {
                binding.mutability = None;
            }
        }
        visit_pat_ident_mut(self, binding);
    }
}

/// What an argument refers to.
enum Reference {
    No,
    Shared,
    Mutable,
}

impl Reference {
    fn of(ty: &Type) -> Self {
        match ty {
            Type::Reference(reference) if reference.mutability.is_some() => Self::Mutable,
            Type::Reference(_) => Self::Shared,
            Type::Group(group) => Self::of(&group.elem),
            Type::Paren(parentheses) => Self::of(&parentheses.elem),
            _ => Self::No,
        }
    }
}

/// Statements that bind the arguments anew, detached. What is behind a `&mut` stays as it is: it is the caller's.
pub fn rebind(arguments: &Arguments, root: &TokenStream, signature: &mut Signature) -> TokenStream {
    let span = Span::mixed_site();
    let mut statements = TokenStream::new();
    for input in &mut signature.inputs {
        let FnArg::Typed(argument) = input else {
            continue;
        };
        let mut bindings = Bindings { of: arguments, found: Vec::new() };
        bindings.visit_pat_mut(&mut argument.pat);
        for PatIdent { by_ref, mutability, ident, .. } in bindings.found {
            // The parts of what is behind a reference are references, unless the pattern is one too.
            let reference = match (&by_ref, &*argument.pat) {
                (Some(_), _) if mutability.is_some() => Reference::Mutable,
                (Some(_), _) => Reference::Shared,
                (None, Pat::Reference(_)) => Reference::No,
                (None, _) => Reference::of(&argument.ty),
            };
            statements.extend(match reference {
                Reference::Mutable => continue,
                Reference::No => {
                    let detached = at(ident.span(), &quote_spanned!(span=> #root::Detach::detached));
                    quote_spanned!(span=> let #mutability #ident = #detached(#ident);)
                }
                Reference::Shared => {
                    let copy = format_ident!("copy_of_{ident}", span = span);
                    let detached = at(ident.span(), &quote_spanned!(span=> #root::__private::detached_copy));
                    quote_spanned! {span=>
                        let #copy = #detached(#ident);
                        let #mutability #ident = #root::__private::borrowed_like(#ident, &#copy);
                    }
                }
            });
        }
    }
    statements
}
