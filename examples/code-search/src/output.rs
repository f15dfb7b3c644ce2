//! Prints search results as text or JSON.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use grad_examples::printable::{self, Printable, is_unprintable};
use schemars::JsonSchema;
use serde::Serialize;

use crate::rank::Hit;
use crate::update::Tree;

/// The lines of a passage that are printed as text.
const SNIPPET_LINES: usize = 8;
const SNIPPET_COLUMNS: usize = 160;

/// The results of a search, as `--json` prints them.
#[derive(Debug, Serialize)]
pub struct Output<'a> {
    /// The query.
    pub query: &'a str,
    /// The backend and its device.
    pub backend: &'a str,
    /// The number of files that were searched.
    pub files: usize,
    /// The number of passages that were searched.
    pub passages: usize,
    /// The number of passages that were not in the index.
    pub embedded: usize,
    /// The results, best first.
    pub results: Vec<Answer>,
}

/// A search result.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answer {
    /// Its rank, from 1.
    pub rank: usize,
    /// The cosine of the angle between the query and the passage, from -1 to 1.
    pub score: f32,
    /// Its rank by vectors, from 1, if it is among the nearest.
    pub vector_rank: Option<usize>,
    /// Its rank by words, from 1, if it is among the best.
    pub word_rank: Option<usize>,
    /// The file: the path of the tree as the user gave it, and the path in the tree.
    pub path: String,
    /// The first line, counted from 1.
    pub start_line: usize,
    /// The last line.
    pub end_line: usize,
    /// The headers of the enclosing items.
    pub item: String,
    /// The text.
    pub snippet: String,
}

/// Returns the results of a search from its hits, each with its tree.
#[must_use]
pub fn answers<'h>(hits: impl IntoIterator<Item = (&'h Hit, &'h Tree)>) -> Vec<Answer> {
    (1..).zip(hits).map(|(rank, (hit, tree))| Answer::new(rank, hit, tree)).collect()
}

impl Answer {
    fn new(rank: usize, hit: &Hit, tree: &Tree) -> Self {
        let passage = &hit.passage;
        let path = if passage.path.is_empty() { tree.given.clone() } else { tree.given.join(&passage.path) };
        Self {
            rank,
            score: hit.cosine,
            vector_rank: hit.vector_rank,
            word_rank: hit.word_rank,
            path: path.strip_prefix(Path::new(".")).unwrap_or(&path).display().to_string(),
            start_line: passage.start,
            end_line: passage.end,
            item: passage.item.clone(),
            snippet: passage.text.clone(),
        }
    }
}

/// Prints a value as JSON, in which characters that could control a terminal are escaped.
///
/// # Errors
///
/// If `out` cannot be written.
pub fn print_json(mut out: impl Write, value: &impl Serialize) -> Result<()> {
    writeln!(out, "{}", json(value)?)?;
    Ok(())
}

fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut escaped = String::new();
    // Outside strings, the only control characters are line breaks, and JSON itself escapes those within strings.
    for c in serde_json::to_string_pretty(value)?.chars() {
        if c != '\n' && is_unprintable(c) {
            escaped.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    Ok(escaped)
}

/// Prints results as text. A result is a line with rank, score, file and lines, and the beginning of the passage.
///
/// # Errors
///
/// If `out` cannot be written.
pub fn print_text(mut out: impl Write, output: &Output<'_>) -> Result<()> {
    for Answer { rank, score, path, start_line, end_line, item, snippet, .. } in &output.results {
        write!(out, "{rank}. {score:.3}  {}:{start_line}-{end_line}", Printable(path))?;
        if !item.is_empty() {
            write!(out, "  {}", Printable(item))?;
        }
        writeln!(out)?;
        for line in snippet.lines().take(SNIPPET_LINES) {
            let shown = line.replace('\t', "    ").chars().take(SNIPPET_COLUMNS).collect::<String>();
            writeln!(out, "    {}", Printable(shown))?;
        }
        if snippet.lines().count() > SNIPPET_LINES {
            writeln!(out, "    …")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Prints a message on standard error.
pub fn report(message: &str) {
    printable::report("code-search", message);
}
