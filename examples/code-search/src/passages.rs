//! Splits a text into passages that fit into the model's input: by syntax where the language is known, else by lines.

use std::ops::Range;

use text_splitter::{ChunkConfig, ChunkSizer, CodeSplitter, MarkdownSplitter, TextSplitter};

use crate::items::Items;
use crate::syntax::{self, Syntax};

/// Identifies how texts are split. Change it whenever the passages of a text may change.
pub const SPLITTING: &str = "syntax 3, bytes 900, tiny 100";

/// The maximum number of bytes of a passage, about what fits into the model's 256 tokens.
pub const MAX_BYTES: usize = 900;

/// The number of bytes of code that are split at a time.
const BLOCK: usize = 1 << 14;

/// A passage of fewer bytes is joined to the next one.
const TINY: usize = 100;

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
    let (chunks, items) = chunks(path, text);
    let lines = Lines::new(text);
    let mut ranges = Vec::<Range<usize>>::new();
    for (offset, chunk) in chunks {
        let mut start = offset;
        let end = offset + chunk.trim_end().len();
        let line = lines.start(start);
        if let Some(last) = ranges.last_mut().filter(|last| last.end > line) {
            // The chunks meet within a line, which goes to the second one if it fits. Else the line is data rather than text, and
            // its rest is dropped.
            if end.saturating_sub(line) <= MAX_BYTES {
                start = line;
                last.end = last.start + text[last.start..line.max(last.start)].trim_end().len();
            } else {
                start = lines.end(start).min(end);
            }
        } else if text[line..start].trim().is_empty() {
            start = line;
        }
        // A header alone is not worth a passage.
        if let Some(last) = ranges.pop_if(|last| last.len() < TINY && end.saturating_sub(last.start) <= MAX_BYTES) {
            start = last.start;
        }
        let text = &text[start..end.max(start)];
        if !text.trim().is_empty() {
            let first = start + (text.len() - text.trim_start().len());
            ranges.push(start.max(lines.start(first))..end);
        }
    }
    let passage = |range: Range<usize>| Passage {
        start: lines.number(range.start),
        end: lines.number(range.end - 1),
        item: items.enclosing(range.clone()),
        text: &text[range],
    };
    ranges.into_iter().map(passage).collect()
}

/// Returns the parts of a text that fit, with their offsets, and its items.
fn chunks<'a>(path: &str, text: &'a str) -> (Vec<(usize, &'a str)>, Items<'a>) {
    match syntax::of(path) {
        Syntax::Code(language) => {
            // A text that cannot be parsed is split at lines. The splitter parses it again, and has no limit of its own.
            if let Some(items) = Items::of_code(&language, text)
                && let Ok(splitter) = CodeSplitter::new(language, config())
            {
                // The splitter takes time that grows with the square of a text's length.
                let chunks = items.blocks(BLOCK).into_iter().flat_map(|block| {
                    let start = block.start;
                    splitter.chunk_indices(&text[block]).map(move |(offset, chunk)| (start + offset, chunk))
                });
                return (chunks.collect(), items);
            }
        }
        Syntax::Markdown => {
            return (MarkdownSplitter::new(config()).chunk_indices(text).collect(), Items::of_markdown(text));
        }
        Syntax::Lines => {}
    }
    (TextSplitter::new(config()).chunk_indices(text).collect(), Items::none())
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
struct Lines {
    /// The offset of each line.
    starts: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// Returns the number of the line at an offset, counted from 1.
    fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset)
    }

    /// Returns the offset of the line after that at an offset, or the maximum in the last line.
    fn end(&self, offset: usize) -> usize {
        self.starts.get(self.number(offset)).copied().unwrap_or(usize::MAX)
    }

    /// Returns the offset of the line at an offset.
    fn start(&self, offset: usize) -> usize {
        self.starts[self.number(offset) - 1]
    }
}
