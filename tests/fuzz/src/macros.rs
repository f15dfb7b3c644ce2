//! Attributes, block macros and derives, on any tokens.

use std::str::FromStr;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use support::random::Random;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, DeriveInput, Expr, File, FnArg, ImplItem, Item, ItemTrait, Macro, Signature, Token, TraitItem,
    Visibility,
};

use crate::scope::ScopeKind;
use crate::source::Writer;
use crate::{derive, expand};

/// Separates the arguments of an attribute from its item, in a case that is text.
const SEPARATOR: &str = "\n---\n";

/// The number of nested groups that is expanded. rustc 1.95 itself ends at 2000 nested parentheses, as its stack does.
const MOST_NESTED: usize = 200;

/// A procedural macro.
#[derive(Debug, Clone, Copy)]
enum Procedural {
    Attribute(ScopeKind),
    Object,
    Derive(fn() -> derive::Derive),
    Block(ScopeKind),
    Carry,
}

const PROCEDURAL: [Procedural; 12] = [
    Procedural::Attribute(ScopeKind::NoGrad),
    Procedural::Attribute(ScopeKind::EnableGrad),
    Procedural::Attribute(ScopeKind::SetGradEnabled),
    Procedural::Attribute(ScopeKind::InferenceMode),
    Procedural::Object,
    Procedural::Derive(|| derive::DETACH),
    Procedural::Derive(|| derive::PARAMS),
    Procedural::Block(ScopeKind::NoGrad),
    Procedural::Block(ScopeKind::EnableGrad),
    Procedural::Block(ScopeKind::SetGradEnabled),
    Procedural::Block(ScopeKind::InferenceMode),
    Procedural::Carry,
];

/// Expands a macro. The first byte chooses it. An even second byte means that the others are choices of a writer of Rust, an odd one
/// that they are text: the arguments of an attribute, or what precedes a block, a line `---`, and the rest.
///
/// # Panics
///
/// If the macro panics, if its output is not what may stand in its place, or if a valid item is not in it.
pub fn macros(bytes: &[u8]) {
    let random = Random::from_choices(bytes);
    let procedural = random.of(&PROCEDURAL);
    let (arguments, input) = if random.below(2) == 1 {
        let text = String::from_utf8_lossy(random.rest()).into_owned();
        let (arguments, input) = text.split_once(SEPARATOR).unwrap_or(("", &text));
        (arguments.to_owned(), input.to_owned())
    } else {
        written(procedural, &random)
    };
    // What the lexer refuses never reaches a macro.
    let (Ok(arguments), Ok(input)) = (TokenStream::from_str(&arguments), TokenStream::from_str(&input)) else {
        return;
    };
    if nested(&arguments) > MOST_NESTED || nested(&input) > MOST_NESTED {
        return;
    }
    let input = if random.chance(25) { with_groups(input, &random) } else { input };
    let tokens = count(&arguments) + count(&input);
    let output = match procedural {
        Procedural::Attribute(kind) => attribute(kind, &arguments, &input),
        Procedural::Object => object(&arguments, &input),
        Procedural::Derive(derive) => derived(&derive(), &input),
        Procedural::Block(kind) => block(kind, &arguments, &input),
        Procedural::Carry => carry(&input),
    };
    assert!(count(&output) <= 1000 + 100 * tokens, "{tokens} tokens become {}: {output}", count(&output));
}

/// Writes arguments and an item, or what precedes a block and the block.
fn written(procedural: Procedural, random: &Random) -> (String, String) {
    let mut writer = Writer::new(random);
    match procedural {
        Procedural::Attribute(_) => (writer.arguments(), writer.item()),
        Procedural::Object => {
            let arguments = writer.object_arguments();
            (arguments, if random.chance(80) { writer.trait_item() } else { writer.item() })
        }
        Procedural::Derive(_) => (String::new(), writer.derived()),
        Procedural::Block(_) => {
            let head = writer.block_head();
            let body = writer.body();
            (head, if random.chance(70) { format!("{{ {body} }}") } else { body })
        }
        Procedural::Carry => (String::new(), writer.expression()),
    }
}

/// Puts some tokens into groups without delimiters, as the variables of a `macro_rules!` arrive.
fn with_groups(tokens: TokenStream, random: &Random) -> TokenStream {
    let grouped = tokens.into_iter().map(|token| {
        let token = match token {
            TokenTree::Group(group) => Group::new(group.delimiter(), with_groups(group.stream(), random)).into(),
            token => token,
        };
        let is_value = !matches!(token, TokenTree::Punct(_));
        if is_value && random.once_in(8) { Group::new(Delimiter::None, token.into()).into() } else { token }
    });
    grouped.collect()
}

fn groups(tokens: &TokenStream) -> impl Iterator<Item = TokenStream> {
    tokens.clone().into_iter().filter_map(|token| match token {
        TokenTree::Group(group) => Some(group.stream()),
        _ => None,
    })
}

/// Returns the number of groups inside each other.
fn nested(tokens: &TokenStream) -> usize {
    let mut depth = 0;
    let mut level: Vec<_> = groups(tokens).collect();
    while !level.is_empty() {
        depth += 1;
        level = level.iter().flat_map(groups).collect();
    }
    depth
}

fn count(tokens: &TokenStream) -> usize {
    tokens.clone().into_iter().count() + groups(tokens).map(|inner| count(&inner)).sum::<usize>()
}

fn items(output: &TokenStream) -> Vec<Item> {
    let file: File = syn::parse2(output.clone()).unwrap_or_else(|error| panic!("{error}: {output}"));
    file.items
}

fn is_error(call: &Macro) -> bool {
    call.path.segments.last().is_some_and(|name| name.ident == "compile_error")
}

fn text(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string()
}

/// Returns the items without errors, of which there is one at most.
fn without_error(mut items: Vec<Item>) -> (Vec<Item>, bool) {
    let count = items.len();
    items.retain(|item| !matches!(item, Item::Macro(call) if is_error(&call.mac)));
    assert!(items.len() + 1 >= count, "{} errors", count - items.len());
    let has_error = items.len() < count;
    (items, has_error)
}

fn attribute(kind: ScopeKind, arguments: &TokenStream, input: &TokenStream) -> TokenStream {
    let output = expand::attribute::expand(kind, arguments.clone(), input.clone());
    let Ok(before) = syn::parse2::<Item>(input.clone()) else { return output };
    if matches!(before, Item::Macro(_) | Item::Verbatim(_)) {
        return output;
    }
    let (after, has_error) = without_error(items(&output));
    let [after] = &after[..] else { panic!("one item becomes {}: {output}", after.len()) };
    // The bindings of detached arguments are written anew.
    let is_bound_anew = text(arguments).contains("detach (");
    match (&before, after) {
        (Item::Fn(before), Item::Fn(after)) => {
            assert_eq!(text(&before.vis), text(&after.vis), "{output}");
            same_signature(&before.sig, &after.sig, is_bound_anew);
            if has_error {
                assert_eq!(text(&before.block), text(&after.block));
            }
        }
        (Item::Impl(before), Item::Impl(after)) => {
            let head = |item: &syn::ItemImpl| {
                text(&syn::ItemImpl { attrs: Vec::new(), items: Vec::new(), ..item.clone() })
            };
            assert_eq!(head(before), head(after));
            let errors = |member: &&ImplItem| !matches!(member, ImplItem::Macro(call) if is_error(&call.mac));
            let after: Vec<_> = after.items.iter().filter(errors).collect();
            assert_eq!(before.items.len(), after.len(), "{output}");
            for (before, after) in before.items.iter().zip(after) {
                match (before, after) {
                    (ImplItem::Fn(before), ImplItem::Fn(after)) => {
                        assert_eq!(text(&before.vis), text(&after.vis), "{output}");
                        same_signature(&before.sig, &after.sig, is_bound_anew);
                    }
                    (before, after) => same_member(before, after, is_bound_anew),
                }
            }
        }
        (Item::Trait(before), Item::Trait(after)) => same_trait(before, after, is_bound_anew),
        (before, after) => {
            assert_eq!(text(before), text(after));
            let is_skipped = text(arguments) == "skip" || text(arguments) == "skip ,";
            assert!(has_error || is_skipped, "no error: {output}");
        }
    }
    output
}

/// Compares members that are functions for rustc alone, such as one without a body in an `impl` block or with `pub` in a trait: syn
/// keeps their tokens. Other members stay as they are.
fn same_member(before: &impl ToTokens, after: &impl ToTokens, is_bound_anew: bool) {
    match (function(before), function(after)) {
        (Some((before_visibility, before)), Some((after_visibility, after))) => {
            assert_eq!(text(&before_visibility), text(&after_visibility));
            same_signature(&before, &after, is_bound_anew);
        }
        _ => assert_eq!(text(before), text(after)),
    }
}

/// Returns the visibility and the signature of a function, without empty generics.
fn function(member: &impl ToTokens) -> Option<(Visibility, Signature)> {
    let parse = |input: ParseStream<'_>| {
        input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        input.parse::<Option<Token![default]>>()?;
        let mut signature: Signature = input.parse()?;
        input.parse::<TokenStream>()?; // The body.
        if signature.generics.params.is_empty() {
            (signature.generics.lt_token, signature.generics.gt_token) = (None, None);
        }
        Ok((visibility, signature))
    };
    parse.parse2(member.to_token_stream()).ok()
}

fn same_signature(before: &Signature, after: &Signature, is_bound_anew: bool) {
    if !is_bound_anew {
        assert_eq!(text(before), text(after));
        return;
    }
    let types = |signature: &Signature| {
        let inputs = signature.inputs.iter().map(|input| match input {
            FnArg::Receiver(receiver) => text(receiver),
            FnArg::Typed(argument) => text(&argument.ty),
        });
        let inputs = inputs.collect::<Vec<_>>();
        (inputs, text(&Signature { inputs: Punctuated::new(), ..signature.clone() }))
    };
    assert_eq!(types(before), types(after));
}

fn same_trait(before: &ItemTrait, after: &ItemTrait, is_bound_anew: bool) {
    assert_eq!(text(&before.vis), text(&after.vis));
    assert_eq!(before.ident, after.ident);
    assert_eq!(text(&before.generics), text(&after.generics));
    let errors = |member: &&TraitItem| !matches!(member, TraitItem::Macro(call) if is_error(&call.mac));
    let members: Vec<_> = after.items.iter().filter(errors).collect();
    assert_eq!(before.items.len(), members.len());
    for (before, after) in before.items.iter().zip(members) {
        match (before, after) {
            (TraitItem::Fn(before), TraitItem::Fn(after)) => {
                same_signature(&before.sig, &after.sig, is_bound_anew);
                assert_eq!(before.default.is_some(), after.default.is_some());
            }
            (before, after) => same_member(before, after, is_bound_anew),
        }
    }
}

fn object(arguments: &TokenStream, input: &TokenStream) -> TokenStream {
    let output = derive::object::expand(arguments, input.clone());
    let Ok(before) = syn::parse2::<ItemTrait>(input.clone()) else { return output };
    let (after, has_error) = without_error(items(&output));
    let Some(Item::Trait(after)) = after.first() else { panic!("no trait: {output}") };
    same_trait(&before, after, false);
    assert_eq!(before.supertraits.len() + usize::from(!has_error), after.supertraits.len());
    output
}

fn derived(derive: &derive::Derive, input: &TokenStream) -> TokenStream {
    let output = derive.expand(input.clone());
    let Ok(before) = syn::parse2::<DeriveInput>(input.clone()) else { return output };
    let (after, has_error) = without_error(items(&output));
    for item in &after {
        let Item::Impl(item) = item else { panic!("no implementation: {output}") };
        assert!(text(&item.self_ty).starts_with(&before.ident.to_string()));
    }
    assert!(has_error || !after.is_empty(), "nothing is derived");
    output
}

fn block(kind: ScopeKind, head: &TokenStream, body: &TokenStream) -> TokenStream {
    let name = syn::Ident::new(kind.name(), proc_macro2::Span::call_site());
    let output = expand::block::expand(quote!([grad_runtime #name] #head #body));
    if syn::parse2::<syn::Block>(quote!({ #head #body })).is_ok() {
        let _: Expr = syn::parse2(output.clone()).unwrap_or_else(|error| panic!("{error}: {output}"));
    }
    output
}

fn carry(work: &TokenStream) -> TokenStream {
    let output = expand::carry::expand(quote!([grad_runtime] #work));
    if syn::parse2::<Expr>(work.clone()).is_ok() {
        let _: Expr = syn::parse2(output.clone()).unwrap_or_else(|error| panic!("{error}: {output}"));
    }
    output
}
