//! Prints text that others chose, such as the name of a file, so that it cannot control the terminal.

use std::fmt::{self, Display, Write};

/// Displays text with an escape in the place of every character that a terminal obeys or hides.
///
/// Escaped are control characters (C0, DEL and C1), the separators of lines and paragraphs, and the characters that reorder
/// text or have no width. Every other character is printed as it is.
///
/// ```
/// use grad_examples::printable::Printable;
///
/// assert_eq!(Printable("a\u{1b}[2J\n.rs").to_string(), r"a\u{1b}[2J\u{a}.rs");
/// assert_eq!(Printable("naïve 日本.rs").to_string(), "naïve 日本.rs");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if is_escaped(character) {
                write!(f, "{}", character.escape_unicode())
            } else {
                f.write_char(character)
            }
        })
    }
}

/// Returns whether a terminal could obey or hide a character.
const fn is_escaped(character: char) -> bool {
    matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // The separators of lines and paragraphs.
        | '\u{2028}' | '\u{2029}'
        // Marks, embeddings, overrides and isolates of bidirectional text.
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        // Without width: soft hyphen, zero width space and joiners, word joiner, byte order mark, and tags.
        | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::Printable;

    #[test]
    fn control_characters_are_escaped() {
        let controls = ('\0'..='\u{ff}').filter(|character| character.is_control());
        let mut count = 0;
        for character in controls {
            let escaped = format!("<\\u{{{:x}}}>", u32::from(character));
            assert_eq!(Printable(&format!("<{character}>")).to_string(), escaped);
            count += 1;
        }
        assert_eq!(count, 65);
    }

    #[test]
    fn separators_and_bidirectional_controls_are_escaped() {
        assert_eq!(Printable("a\u{2028}b\u{2029}c").to_string(), r"a\u{2028}b\u{2029}c");
        assert_eq!(Printable("txt.\u{202e}sr\u{2066}").to_string(), r"txt.\u{202e}sr\u{2066}");
        assert_eq!(Printable("a\u{200b}\u{feff}").to_string(), r"a\u{200b}\u{feff}");
    }

    #[test]
    fn other_text_is_unchanged() {
        for text in ["", "src/main.rs", "naïve 日本 🦀", "a\\b {c}", "a b\u{a0}c"] {
            assert_eq!(Printable(text).to_string(), text);
        }
    }
}
