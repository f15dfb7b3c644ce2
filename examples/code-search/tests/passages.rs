//! Checks that passages cover a text, fit the model, follow the syntax and name the items that enclose them.

use code_search::passages::{MAX_BYTES, Passage, split};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Generates texts with blank lines, indents, brackets, long lines and both kinds of line break, valid in no language.
fn texts() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => Just(String::new()),
        1 => Just(" \t ".to_owned()),
        8 => "[ ]{0,12}[a-z{}();#\"']{1,40}",
        2 => "fn [a-z]{1,9}\\(\\) \\{|class [a-z]{1,9}:|# [a-z]{1,9}",
        2 => "[}]",
        1 => "[aé漢🙂]{300,1200}",
    ];
    let ending = prop_oneof![4 => Just("\n"), 1 => Just("\r\n")];
    prop::collection::vec((line, ending), 0..60)
        .prop_map(|lines| lines.iter().flat_map(|(line, ending)| [line, *ending]).collect())
}

fn files() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a.rs", "a.py", "a.cpp", "a.ts", "a.tsx", "a.js", "a.go", "a.java", "a.md", "a.txt"])
}

proptest! {
    // The same texts in each run: what a grammar makes of a text with errors is not ours to test.
    #![proptest_config(ProptestConfig { cases: 24, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_short_line_with_text_is_in_a_passage(file in files(), text in texts()) {
        let passages = split(file, &text);
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && line.len() < MAX_BYTES / 4);
        for (at, line) in lines {
            let number = at + 1;
            let within = |passage: &Passage| (passage.start..=passage.end).contains(&number);
            prop_assert!(passages.iter().any(within), "line {number}, {line:?}, is in none of {passages:?}");
        }
    }

    #[test]
    fn a_passage_is_text_of_its_lines(file in files(), text in texts()) {
        let lines = text.lines().collect::<Vec<_>>();
        for passage in split(file, &text) {
            prop_assert!(1 <= passage.start && passage.start <= passage.end && passage.end <= lines.len());
            let of_lines = lines[passage.start - 1..passage.end].join("\n");
            prop_assert!(of_lines.contains(&passage.text.replace("\r\n", "\n")), "{passage:?}");
        }
    }

    #[test]
    fn passages_fit_and_are_in_order(file in files(), text in texts()) {
        let passages = split(file, &text);
        for passage in &passages {
            // White space before the first line is added to a passage that fits.
            prop_assert!(passage.text.trim_start().len() <= MAX_BYTES && !passage.text.trim().is_empty());
            prop_assert!(passage.item.len() <= 240);
        }
        for pair in passages.windows(2) {
            prop_assert!(pair[1].start > pair[0].end, "{pair:?}");
        }
    }
}

/// Returns the lines and the item of each passage.
fn spans(file: &str, text: &str) -> Vec<(usize, usize, String)> {
    split(file, text).into_iter().map(|passage| (passage.start, passage.end, passage.item)).collect()
}

#[test]
fn an_empty_text_has_no_passages() {
    for file in ["a.rs", "a.md", "a.txt", "a"] {
        assert_eq!(spans(file, ""), []);
        assert_eq!(spans(file, "\n \n\t\n"), []);
    }
}

#[test]
fn a_short_text_is_one_passage() {
    assert_eq!(spans("a.txt", "\n\nsome text\n\nmore\n\n"), [(3, 5, String::new())]);
}

#[test]
fn of_a_line_that_is_too_long_only_the_beginning_is_a_passage() {
    let text = format!("first\n{}\nlast\n", "word ".repeat(10_000));
    let spans = spans("a.txt", &text);
    assert!(spans.len() <= 3, "{spans:?}");
    assert_eq!(spans.last().map(|span| span.1), Some(3));
}

/// Checks that items of about 600 bytes are passages of their own, with the given headers.
fn items_are_passages(file: &str, text: &str, expected: &[&str]) {
    let items = split(file, text).into_iter().map(|passage| passage.item).collect::<Vec<_>>();
    assert_eq!(items, expected, "{file}");
}

#[test]
fn passages_follow_the_syntax_of_each_language() {
    let body = |line: &str| line.repeat(600 / line.len());
    items_are_passages(
        "a.rs",
        &format!(
            "/// Says hello.\n#[inline]\npub fn hello(name: &str) {{\n{0}}}\n\nimpl<T> Stack<T> {{\n    fn pop(&mut self) -> T {{\n{0}    }}\n\n    fn push(&mut self) {{\n{0}    }}\n}}\n",
            body("        work();\n")
        ),
        &["pub fn hello(name: &str)", "impl<T> Stack<T>", "impl<T> Stack<T> › fn push(&mut self)"],
    );
    items_are_passages(
        "a.py",
        &format!(
            "def hello(name):\n{0}\nclass Stack:\n    def pop(self):\n{0}\n    def push(self):\n{0}",
            body("        work()\n")
        ),
        &["def hello(name)", "class Stack", "class Stack › def push(self)"],
    );
    items_are_passages(
        "a.cpp",
        &format!(
            "namespace app {{\n\nvoid hello(int x) {{\n{0}}}\n\nclass Stack {{\n  int pop() {{\n{0}  }}\n}};\n\n}}\n",
            body("    work();\n")
        ),
        &["namespace app", "namespace app › class Stack"],
    );
    items_are_passages(
        "a.ts",
        &format!(
            "function hello(name: string): void {{\n{0}}}\n\nclass Stack {{\n  pop(): number {{\n{0}  }}\n\n  push() {{\n{0}  }}\n}}\n",
            body("    work();\n")
        ),
        &["function hello(name: string): void", "class Stack", "class Stack › push()"],
    );
    items_are_passages(
        "a.go",
        &format!(
            "package a\n\nfunc Hello(name string) int {{\n{0}}}\n\nfunc (s *Stack) Pop() int {{\n{0}}}\n",
            body("\twork()\n")
        ),
        &["", "func (s *Stack) Pop() int"],
    );
    items_are_passages(
        "A.java",
        &format!(
            "class Stack {{\n  int pop() {{\n{0}  }}\n\n  void push(int x) {{\n{0}  }}\n}}\n",
            body("    work();\n")
        ),
        &["class Stack", "class Stack › void push(int x)"],
    );
    items_are_passages(
        "a.md",
        &format!("# Title\n\n{0}\n\n## First `part`\n\n{0}\n\n# Other\n\n{0}\n", body("some words ").trim_end()),
        &["Title", "Title › First part", "Other"],
    );
}

#[test]
fn the_parts_of_a_long_function_name_it() {
    let text = format!("impl Server {{\n    fn run(&self) {{\n{}    }}\n}}\n", "        work();\n".repeat(200));
    let items = spans("a.rs", &text).into_iter().map(|span| span.2).collect::<Vec<_>>();
    assert!(items.len() > 3);
    assert!(items[1..items.len() - 1].iter().all(|item| item == "impl Server › fn run(&self)"), "{items:?}");
}

#[test]
fn a_text_whose_parser_does_not_end_is_split_at_lines() {
    // Version 0.23.2 of the grammar sends tree-sitter 0.26.13 round in circles.
    let text = "{o''}(};);;(;\n";
    assert_eq!(spans("a.tsx", text), [(1, 1, String::new())]);
}
