//! A Python process that answers requests, for the benchmarks that stand beside Python: this one file serves them all.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

/// A process that answers one request at a time, each a line of JSON, and waits in between.
pub struct Python {
    process: Child,
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl Python {
    pub fn start(mut command: Command) -> Result<Self> {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start python3")?;
        let requests = process.stdin.take();
        let replies = BufReader::new(process.stdout.take().expect("its output is piped"));
        Ok(Self { process, requests, replies })
    }

    pub fn ask<R: DeserializeOwned>(&mut self, request: &serde_json::Value) -> Result<R> {
        let requests = self.requests.as_mut().expect("it is only taken on drop");
        writeln!(requests, "{request}").context("cannot ask the Python process: it has ended")?;
        let mut reply = String::new();
        self.replies.read_line(&mut reply)?;
        serde_json::from_str(&reply)
            .with_context(|| format!("cannot parse the reply of the Python process: {reply:?}"))
    }
}

/// Closes the requests, which ends the process.
impl Drop for Python {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.process.wait();
    }
}
