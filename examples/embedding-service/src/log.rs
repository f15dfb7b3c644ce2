//! The log: lines on standard error, without control characters from outside.

use std::any::Any;
use std::fmt::Display;
use std::panic;

use grad_examples::printable;

/// Writes a line.
pub fn line(message: impl Display) {
    printable::report("embedding-service", message);
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
