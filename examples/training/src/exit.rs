//! Ends a program: reports its error without control characters, and accepts a pipe whose reader has left.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use grad_examples::printable::Printable;

/// Returns the status of a program, and prints its error.
///
/// An error may contain the name of a file or text of another program, so each of its lines is printed as [`Printable`].
#[must_use]
pub fn exit(program: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        // The reader has closed the pipe, as in `finetune | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("{error:#}");
            let lines = error.lines().map(|line| Printable(line).to_string());
            eprintln!("{program}: {}", lines.collect::<Vec<_>>().join("\n"));
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn Error + 'static)| cause.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|cause| io(cause) == Some(io::ErrorKind::BrokenPipe))
}
