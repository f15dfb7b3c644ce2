//! Finds the items that enclose a part of a text: functions, types and modules in code, headings in Markdown.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use tree_sitter::{Language, Node, ParseOptions, ParseState, Tree};

/// The maximum number of bytes of a header, and of all headers of a passage.
const MAX_HEADER: usize = 120;
const MAX_ITEM: usize = 240;

/// How long a file may be parsed. Source files take milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// The items of a text.
pub struct Items<'a> {
    text: &'a str,
    outline: Outline,
}

enum Outline {
    None,
    Code(Tree),
    /// Offset, level and text of each heading, in order.
    Markdown(Vec<(usize, u8, String)>),
}

impl<'a> Items<'a> {
    /// Returns no items.
    #[must_use]
    pub const fn none() -> Self {
        Self { text: "", outline: Outline::None }
    }

    /// Parses code. A text with errors has those items that the parser recognizes. Returns `None` if the parser does not end, which
    /// some texts with errors bring about.
    #[must_use]
    pub fn of_code(language: &Language, text: &'a str) -> Option<Self> {
        let mut parser = tree_sitter::Parser::new();
        parser.set_language(language).ok()?;
        let start = Instant::now();
        let mut is_late = |_: &ParseState| {
            if start.elapsed() > PATIENCE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = ParseOptions::new().progress_callback(&mut is_late);
        // The parser asks for the text at its end too, which is empty.
        let parsed = parser.parse_with_options(
            &mut |at, _| text.as_bytes().get(at..).unwrap_or_default(),
            None,
            Some(options),
        );
        Some(Self { text, outline: Outline::Code(parsed?) })
    }

    /// Finds the headings of a Markdown text.
    #[must_use]
    pub fn of_markdown(text: &'a str) -> Self {
        let mut headings = Vec::<(usize, u8, String)>::new();
        let mut in_heading = false;
        for (event, range) in Parser::new(text).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    headings.push((range.start, level as u8, String::new()));
                    in_heading = true;
                }
                Event::End(TagEnd::Heading(_)) => in_heading = false,
                Event::Text(part) | Event::Code(part) if in_heading => {
                    if let Some((.., heading)) = headings.last_mut() {
                        heading.push_str(&part);
                    }
                }
                _ => {}
            }
        }
        Self { text, outline: Outline::Markdown(headings) }
    }

    /// Divides code between its outermost items into ranges of about `size` bytes; longer items are not divided.
    #[must_use]
    pub fn blocks(&self, size: usize) -> Vec<Range<usize>> {
        let mut blocks = Vec::new();
        let mut start = 0;
        if let Outline::Code(tree) = &self.outline {
            let root = tree.root_node();
            let mut before = None;
            for node in root.children(&mut root.walk()) {
                // Comments and attributes belong to the item after them.
                if node.end_byte() - start > size && !before.is_some_and(is_comment_or_attribute) {
                    blocks.push(start..node.start_byte());
                    start = node.start_byte();
                }
                before = Some(node);
            }
        }
        blocks.push(start..self.text.len());
        blocks
    }

    /// Returns the headers of the items that contain all of `range`, outermost first. Comments and attributes at its beginning
    /// belong to the item after them, and closing brackets at its end to that before them.
    #[must_use]
    pub fn enclosing(&self, range: Range<usize>) -> String {
        let headers = match &self.outline {
            Outline::None => Vec::new(),
            Outline::Code(tree) => self.headers(tree.root_node(), range),
            Outline::Markdown(headings) => headings_above(headings, range.start),
        };
        head(&headers.join(" › "), MAX_ITEM).to_owned()
    }

    fn headers(&self, root: Node<'_>, range: Range<usize>) -> Vec<String> {
        let start = self.after_comments(root, range.clone());
        // Brackets that close the enclosing items do not make the passage more than its item.
        let closing = |c: char| c.is_whitespace() || "})];,".contains(c);
        let end = start + self.text[start..range.end].trim_end_matches(closing).len();
        let mut node = root.named_descendant_for_byte_range(start, end);
        let mut headers = Vec::new();
        while let Some(item) = node {
            if is_item(item) {
                headers.push(self.header(item));
            }
            node = item.parent();
        }
        headers.reverse();
        headers
    }

    /// Returns the offset of the first text in `range` that is neither a comment nor an attribute, or the beginning of `range` if there
    /// is none.
    fn after_comments(&self, root: Node<'_>, range: Range<usize>) -> usize {
        let skip_space = |at: usize| at + (self.text[at..].len() - self.text[at..].trim_start().len());
        let first = skip_space(range.start);
        let mut at = first;
        while at < range.end {
            let mut node = root.descendant_for_byte_range(at, at + 1);
            while let Some(found) = node
                && !is_comment_or_attribute(found)
            {
                node = found.parent();
            }
            match node {
                Some(node) if node.end_byte() > at => at = skip_space(node.end_byte()),
                _ => return at,
            }
        }
        first
    }

    /// Returns the text of an item before its body, on one line.
    fn header(&self, item: Node<'_>) -> String {
        let end = item.child_by_field_name("body").map_or(item.end_byte(), |body| body.start_byte());
        let header = self.text[item.start_byte()..end].split_whitespace().collect::<Vec<_>>().join(" ");
        head(header.trim_end_matches([':', '{', ' ']), MAX_HEADER).to_owned()
    }
}

/// Returns whether a node is a function, type or module that has a body.
fn is_item(node: Node<'_>) -> bool {
    let kind = node.kind();
    let named = ["_item", "_definition", "_declaration", "_specifier", "_module"];
    named.iter().any(|suffix| kind.ends_with(suffix)) && node.child_by_field_name("body").is_some()
}

fn is_comment_or_attribute(node: Node<'_>) -> bool {
    let kind = node.kind();
    kind.contains("comment") || kind.starts_with("attribute") || kind == "decorator"
}

/// Returns the headings of the sections that contain `offset`.
fn headings_above(headings: &[(usize, u8, String)], offset: usize) -> Vec<String> {
    let mut open = Vec::<&(usize, u8, String)>::new();
    for heading in headings.iter().take_while(|(start, ..)| *start <= offset) {
        open.retain(|(_, level, _)| *level < heading.1);
        open.push(heading);
    }
    open.into_iter().map(|(.., text)| head(text, MAX_HEADER).to_owned()).collect()
}

/// Returns the beginning of a text, at most `limit` bytes.
fn head(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
