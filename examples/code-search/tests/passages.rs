//! Checks that passages cover a text, fit the model and begin and end at sensible lines.

use code_search::passages::{MAX_BYTES, MAX_LINES, OVERLAP, Passage, cut};
use proptest::prelude::*;

/// Generates texts with blank lines, indents, long lines, both kinds of line break, and with or without one at the end.
fn texts() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => Just(String::new()),
        1 => Just(" \t ".to_owned()),
        8 => "[ ]{0,12}[a-z{}();]{1,40}",
        2 => "[}]",
        1 => "[aé漢🙂]{300,1200}",
    ];
    let ending = prop_oneof![4 => Just("\n"), 1 => Just("\r\n")];
    (prop::collection::vec((line, ending), 0..150), any::<bool>()).prop_map(|(lines, ends)| {
        let text = lines.iter().flat_map(|(line, ending)| [line, *ending]).collect::<String>();
        if ends { text } else { text.trim_end().to_owned() }
    })
}

proptest! {
    #[test]
    fn every_line_with_text_is_in_a_passage(text in texts()) {
        let passages = cut(&text);
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let number = at + 1;
            let within = |passage: &Passage| (passage.start..=passage.end).contains(&number);
            prop_assert!(passages.iter().any(within), "line {number}, {line:?}, is in none of {passages:?}");
        }
    }

    #[test]
    fn a_passage_has_the_text_of_its_lines(text in texts()) {
        let lines = text.lines().collect::<Vec<_>>();
        for passage in cut(&text) {
            let expected = lines[passage.start - 1..passage.end].join("\n");
            let found = passage.text.replace("\r\n", "\n");
            let whole = if passage.start == passage.end && expected.len() > MAX_BYTES { &expected[..found.len()] } else { &expected };
            prop_assert_eq!(whole, &found);
        }
    }

    #[test]
    fn passages_fit_and_begin_and_end_with_text(text in texts()) {
        let lines = text.lines().collect::<Vec<_>>();
        for passage in cut(&text) {
            prop_assert!(passage.text.len() <= MAX_BYTES);
            prop_assert!(passage.end - passage.start < MAX_LINES);
            prop_assert!(!lines[passage.start - 1].trim().is_empty());
            prop_assert!(!lines[passage.end - 1].trim().is_empty());
        }
    }

    #[test]
    fn passages_advance_and_repeat_little(text in texts()) {
        for pair in cut(&text).windows(2) {
            prop_assert!(pair[1].start > pair[0].start && pair[1].end > pair[0].end, "{pair:?}");
            prop_assert!(pair[1].start + OVERLAP > pair[0].end, "{pair:?}");
        }
    }
}

fn spans(text: &str) -> Vec<(usize, usize)> {
    cut(text).iter().map(|passage| (passage.start, passage.end)).collect()
}

#[test]
fn an_empty_text_has_no_passages() {
    assert_eq!(spans(""), []);
    assert_eq!(spans("\n \n\t\n"), []);
}

#[test]
fn a_short_text_is_one_passage_without_its_blank_edges() {
    assert_eq!(spans("\n\nfn main() {}\n\n// end\n\n"), [(3, 5)]);
}

#[test]
fn cuts_fall_between_items_without_overlap() {
    let item = |name: &str| format!("fn {name}() {{\n{}}}\n\n", "    work();\n".repeat(16));
    let text = ["first", "second", "third"].map(item).concat();
    assert_eq!(spans(&text), [(1, 18), (20, 37), (39, 56)]);
}

#[test]
fn a_long_item_is_cut_with_an_overlap() {
    let text = format!("fn long() {{\n{}}}\n", "    work();\n".repeat(50));
    let spans = spans(&text);
    assert_eq!(spans.first(), Some(&(1, MAX_LINES)));
    assert_eq!(spans[1].0, MAX_LINES + 1 - OVERLAP);
    assert_eq!(spans.last().map(|span| span.1), Some(52));
}
