//! Splits a text into passages: runs of whole lines that fit into the model's input, cut at blank lines where possible.

use std::cmp::Reverse;

/// Identifies how texts are cut. Change it whenever the passages of a text may change.
pub const CUTTING: &str = "lines 30, bytes 900, overlap 4";

/// The maximum number of lines of a passage.
pub const MAX_LINES: usize = 30;

/// The maximum number of bytes of a passage, about what fits into the model's 256 tokens. A longer line is a separate
/// passage, truncated to this length.
pub const MAX_BYTES: usize = 900;

/// The number of lines that a passage repeats from the one before it, if the cut between them divides a piece of code.
pub const OVERLAP: usize = 4;

/// A range of lines of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage<'a> {
    /// The first line, counted from 1.
    pub start: usize,
    /// The last line.
    pub end: usize,
    /// The text of the lines.
    pub text: &'a str,
}

/// Returns the passages of a text in order. Every line that is not blank is in one, and none begins or ends with a blank line.
#[must_use]
pub fn cut(text: &str) -> Vec<Passage<'_>> {
    let lines = lines(text);
    let mut passages = Vec::new();
    let mut start = 0;
    let mut covered = 0;
    while let Some(first) = (start..lines.len()).find(|&at| !lines[at].is_blank()) {
        let fits = first + fitting(&lines[first..]);
        let cut = if fits == lines.len() { Cut::clean(fits) } else { best_cut(&lines, first, fits) };
        let last = (first..cut.at).rfind(|&at| !lines[at].is_blank()).unwrap_or(first);
        // Skip an overlap that adds nothing to the passage before.
        if last >= covered {
            let text = &text[lines[first].start..lines[last].end];
            passages.push(Passage { start: first + 1, end: last + 1, text: head(text) });
            covered = last + 1;
        }
        start = if cut.clean { cut.at } else { cut.at.saturating_sub(OVERLAP).max(first + 1) };
    }
    passages
}

#[derive(Debug, Clone, Copy)]
struct Line {
    start: usize,
    /// Without the line break.
    end: usize,
    /// Bytes of white space before the first other character; `None` in a blank line.
    indent: Option<usize>,
    /// Whether it begins with a closing bracket, and so belongs to the lines before it.
    closes: bool,
}

impl Line {
    const fn is_blank(&self) -> bool {
        self.indent.is_none()
    }
}

fn lines(text: &str) -> Vec<Line> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        let from = start;
        start += line.len();
        let end = from + line.trim_end_matches(['\n', '\r']).len();
        let closes = line.trim_start().starts_with(['}', ')', ']']);
        Line { start: from, end, indent: line.find(|c: char| !c.is_whitespace()), closes }
    });
    lines.collect()
}

/// Returns how many of the lines fit into a passage: at least one.
fn fitting(lines: &[Line]) -> usize {
    let base = lines[0].start;
    let fitting = lines.iter().take(MAX_LINES).take_while(|line| line.end - base <= MAX_BYTES);
    fitting.count().max(1)
}

struct Cut {
    /// The first line after the cut.
    at: usize,
    /// Whether the next passage can do without an overlap.
    clean: bool,
}

impl Cut {
    const fn clean(at: usize) -> Self {
        Self { at, clean: true }
    }
}

/// Returns the best cut for a passage that begins at line `first` and ends before line `fits` at the latest: before a line of
/// the lowest indent, then after a blank line, then as late as possible.
fn best_cut(lines: &[Line], first: usize, fits: usize) -> Cut {
    let earliest = first + (fits - first).div_ceil(3);
    let opens = |at: usize| !lines[at].is_blank() && !lines[at].closes;
    let rank = |at: usize| (Reverse(lines[at].indent), lines[at - 1].is_blank(), at);
    let at = (earliest..=fits).filter(|&at| opens(at)).max_by_key(|&at| rank(at)).unwrap_or(fits);
    Cut { at, clean: lines[at - 1].is_blank() && lines[at].indent == Some(0) }
}

/// Returns the start of `text`, at most [`MAX_BYTES`] bytes.
fn head(text: &str) -> &str {
    let mut end = text.len().min(MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
