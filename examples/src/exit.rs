//! Ends a program: reports its error, and accepts a pipe whose reader has left.

use std::io;
use std::process::ExitCode;

use crate::printable::report;

/// Returns the status of a program, and prints its error without control characters.
#[must_use]
pub fn exit(program: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        // The reader has closed the pipe, as in `code-search … | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            report(program, format_args!("{error:#}"));
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}
