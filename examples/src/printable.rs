//! Displays text from outside, such as a file name, without letting it control the terminal.

use std::fmt::{self, Display, Formatter, Write};
use std::io;

/// Displays a text on one line: escapes line breaks, control characters, and the characters that change the direction of
/// text, as `\n` or `\u{1b}`. Backslashes stay as they are.
///
/// ```
/// use grad_examples::printable::Printable;
///
/// assert_eq!(Printable("a\u{1b}[31m\nb.rs").to_string(), r"a\u{1b}[31m\nb.rs");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Printable<T>(pub T);

impl<T: Display> Display for Printable<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(is_unprintable) {
            match part.chars().next_back().filter(|&last| is_unprintable(last)) {
                Some(last) => {
                    self.0.write_str(&part[..part.len() - last.len_utf8()])?;
                    self.0.write_fmt(format_args!("{}", last.escape_default()))?;
                }
                None => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// Writes a message of a program to standard error, after the program's name. Its line breaks stay. A message that cannot be written
/// is dropped, where `eprintln!` would panic.
pub fn report(program: &str, message: impl Display) {
    let message = message.to_string();
    let lines = message.lines().map(|line| Printable(line).to_string()).collect::<Vec<_>>();
    let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("{program}: {}\n", lines.join("\n")));
}

/// Returns whether a character can control a terminal, break a line, or change the order in which characters are shown.
#[must_use]
pub const fn is_unprintable(c: char) -> bool {
    matches!(c,
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
    use super::*;

    #[test]
    fn nothing_that_controls_a_terminal_is_left() {
        for c in
            ('\0'..=' ').chain('\u{7f}'..='\u{9f}').chain('\u{2028}'..='\u{202e}').chain('\u{2066}'..='\u{2069}')
        {
            let shown = Printable(format!("a{c}b")).to_string();
            if c == ' ' {
                assert_eq!(shown, "a b");
            } else {
                assert_eq!(shown, format!("a{}b", c.escape_default()));
                assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown}");
            }
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        let text = r"C:\src\größe 漢字 🙂.rs";
        assert_eq!(Printable(text).to_string(), text);
    }
}
