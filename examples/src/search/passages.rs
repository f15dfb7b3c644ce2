//! Cuts a text into passages: runs of whole lines that the model sees as a whole, split where the text pauses.

use std::cmp::Reverse;

/// How texts are cut, in a few characters: it changes whenever the passages of some text do.
pub const CUTTING: &str = "lines 30, bytes 900, overlap 4";

/// The most lines of a passage.
pub const MAX_LINES: usize = 30;

/// The most bytes of a passage, about what fits into the 256 tokens that the model sees. A longer line is a passage of
/// its own, of which only the start counts.
pub const MAX_BYTES: usize = 900;

/// How many lines a passage repeats of the one before it, where the cut between them goes through a piece of code.
pub const OVERLAP: usize = 4;

/// Some lines of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage<'a> {
    /// The first line; a text's first line is number 1.
    pub start: usize,
    /// The last line.
    pub end: usize,
    /// What is in them.
    pub text: &'a str,
}

/// The passages of a text, in its order. Every line that is not blank is in one, none begins or ends with a blank one.
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
        // An overlap that ends where the passage before did repeats what was said.
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
    /// Bytes of white space before the first other character; none in a blank line.
    indent: Option<usize>,
    /// Whether it closes what an earlier line opened, and belongs to that.
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

/// How many of the lines fit into a passage: at least one.
fn fitting(lines: &[Line]) -> usize {
    let base = lines[0].start;
    let fitting = lines.iter().take(MAX_LINES).take_while(|line| line.end - base <= MAX_BYTES);
    fitting.count().max(1)
}

struct Cut {
    /// The first line after the cut.
    at: usize,
    /// Whether the next passage makes sense without the end of this one.
    clean: bool,
}

impl Cut {
    const fn clean(at: usize) -> Self {
        Self { at, clean: true }
    }
}

/// The best place to end a passage that begins at line `first` and may go on up to `fits`: before a line of the lowest
/// indent, preferably after a blank one, and rather late than early.
fn best_cut(lines: &[Line], first: usize, fits: usize) -> Cut {
    let earliest = first + (fits - first).div_ceil(3);
    let opens = |at: usize| !lines[at].is_blank() && !lines[at].closes;
    let rank = |at: usize| (Reverse(lines[at].indent), lines[at - 1].is_blank(), at);
    let at = (earliest..=fits).filter(|&at| opens(at)).max_by_key(|&at| rank(at)).unwrap_or(fits);
    Cut { at, clean: lines[at - 1].is_blank() && lines[at].indent == Some(0) }
}

/// As much of the start of `text` as a passage holds.
fn head(text: &str) -> &str {
    let mut end = text.len().min(MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
