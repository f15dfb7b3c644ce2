//! Passages of any text.

use code_search::passages::{MAX_BYTES, described, split};
use support::random::Random;

/// The maximum number of bytes of the headers of a passage.
const MAX_ITEM: usize = 240;

const FILES: [&str; 10] = ["a.rs", "a.py", "a.cpp", "a.ts", "a.tsx", "a.js", "a.go", "a.java", "a.md", "a.txt"];

/// Splits a text, whose syntax the first byte chooses.
///
/// # Panics
///
/// If splitting panics, if a short line with text is in no passage, or if a passage is not what its lines say or does not fit.
pub fn passages(bytes: &[u8]) {
    let random = Random::from_choices(bytes);
    let file = random.of(&FILES);
    let text = String::from_utf8_lossy(random.rest());
    let passages = split(file, &text);
    let lines: Vec<_> = text.split('\n').collect();
    for passage in &passages {
        assert!(1 <= passage.start && passage.start <= passage.end && passage.end <= lines.len(), "{passage:?}");
        assert!(lines[passage.start - 1..passage.end].join("\n").contains(passage.text), "{passage:?}");
        assert!(passage.text.trim_start().len() <= MAX_BYTES && !passage.text.trim().is_empty(), "{passage:?}");
        assert!(passage.item.len() <= MAX_ITEM, "{passage:?}");
        assert!(described(file, &passage.item, passage.text).ends_with(passage.text));
    }
    for pair in passages.windows(2) {
        assert!(pair[1].start > pair[0].end, "{pair:?}");
    }
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let is_in =
            |passage: &code_search::passages::Passage<'_>| (passage.start..=passage.end).contains(&(at + 1));
        assert!(line.len() >= MAX_BYTES / 4 || passages.iter().any(is_in), "{line:?} is in none of {passages:?}");
    }
}
