//! Splits a text into passages that fit into the model's input: by syntax where the language is known, else by lines.

use std::ops::Range;

use text_splitter::{ChunkConfig, ChunkSizer, CodeSplitter, MarkdownSplitter, TextSplitter};

use crate::items::Items;
use crate::syntax::{self, Syntax};

/// Identifies how texts are split. Change it whenever the passages of a text may change.
pub const SPLITTING: &str = "syntax 1, bytes 900";

/// The maximum number of bytes of a passage, about what fits into the model's 256 tokens.
pub const MAX_BYTES: usize = 900;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage<'a> {
    /// Its first line, counted from 1.
    pub start: usize,
    /// Its last line.
    pub end: usize,
    /// The headers of the items that enclose it, outermost first, such as `impl Guard › fn drop(&mut self)`, or the headings
    /// above it; empty if there are none.
    pub item: String,
    /// Its text.
    pub text: &'a str,
}

/// Returns the passages of the file `path` in order. All text is in one, except that of a line longer than [`MAX_BYTES`], of
/// which only the beginning is.
#[must_use]
pub fn split<'a>(path: &str, text: &'a str) -> Vec<Passage<'a>> {
    let (chunks, items) = match syntax::of(path) {
        Syntax::Code(language) => {
            let splitter =
                CodeSplitter::new(language.clone(), config()).expect("the grammar's version is supported");
            (splitter.chunk_indices(text).collect::<Vec<_>>(), Items::of_code(&language, text))
        }
        Syntax::Markdown => {
            (MarkdownSplitter::new(config()).chunk_indices(text).collect(), Items::of_markdown(text))
        }
        Syntax::Lines => (TextSplitter::new(config()).chunk_indices(text).collect(), Items::none()),
    };
    let lines = Lines::new(text);
    let mut passages = Vec::<Passage<'_>>::new();
    for (offset, chunk) in chunks {
        let range = offset..offset + chunk.trim_end().len();
        let (start, end) = (lines.number(range.start), lines.number(range.end.saturating_sub(1)));
        // The rest of a line that is too long for one passage is data rather than text.
        let is_rest_of_line = start == end && passages.last().is_some_and(|last| last.end == end);
        if range.is_empty() || is_rest_of_line {
            continue;
        }
        let range = lines.with_indent(range);
        passages.push(Passage { start, end, item: items.enclosing(range.clone()), text: &text[range] });
    }
    passages
}

/// Returns the text that is embedded and searched for a passage of the file `path`.
#[must_use]
pub fn described(path: &str, item: &str, text: &str) -> String {
    [path, item, text].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

struct Bytes;

impl ChunkSizer for Bytes {
    fn size(&self, chunk: &str) -> usize {
        chunk.len()
    }
}

fn config() -> ChunkConfig<Bytes> {
    ChunkConfig::new(MAX_BYTES).with_sizer(Bytes)
}

/// The lines of a text.
struct Lines<'a> {
    text: &'a str,
    /// The offset of each line.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// Returns the number of the line at an offset, counted from 1.
    fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset)
    }

    /// Extends a range by the white space before it in its first line.
    fn with_indent(&self, range: Range<usize>) -> Range<usize> {
        let start = self.starts[self.number(range.start) - 1];
        if self.text[start..range.start].trim().is_empty() { start..range.end } else { range }
    }
}
