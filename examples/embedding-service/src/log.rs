//! The log: lines on standard error, without control characters from outside.

use std::any::Any;
use std::fmt::Display;
use std::io::{self, Write};
use std::panic;

/// Writes a line.
pub fn line(message: impl Display) {
    // A service goes on if its log cannot be written; `eprintln!` would panic.
    let _ = writeln!(io::stderr(), "embedding-service: {}", printable(&message.to_string()));
}

/// Writes the messages of panics as lines of the log; they may quote a text from outside.
pub fn panics() {
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map_or_else(String::new, |location| format!(" at {location}"));
        line(format_args!("panic{location}: {}", message(panic.payload())));
    }));
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Replaces control characters, which could change the terminal.
fn printable(text: &str) -> String {
    let replaced = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(replaced).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(super::printable("a\x1b[31m\u{9b}b\nc\r"), "a\u{fffd}[31m\u{fffd}b\nc\u{fffd}");
    }
}
