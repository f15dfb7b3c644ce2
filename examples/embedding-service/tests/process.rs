//! Runs the program: its shutdown, its memory, its errors.
#![cfg(all(unix, feature = "cpu"))]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread;

use embedding_service::client::Client;
use support::eventually;

#[expect(dead_code, reason = "this test has the real model")]
mod support;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_embedding-service"));
    // Without this, mimalloc keeps freed memory resident until the thread that freed it allocates again.
    command.args(arguments).env("MIMALLOC_PURGE_DELAY", "0");
    command
}

/// A running program. A test that fails ends it.
struct Program {
    child: Child,
    stderr: BufReader<ChildStderr>,
    client: Client,
}

impl Program {
    fn start(backend: &str, arguments: &[&str]) -> Self {
        let mut child = command(&["--listen", "127.0.0.1:0", "--backend", backend])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect(&line);
        Self { child, stderr, client: Client::new(url) }
    }

    fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the end and returns the exit code and the log.
    fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn sigterm_answers_what_was_accepted() {
    const REQUESTS: u8 = 6;

    let program = Program::start("cpu", &["--workers", "1", "--max-batch", "1"]);
    let client = program.client.clone();
    let texts = ["one text", "another text", "a third text", "a fourth text"];
    thread::scope(|threads| {
        let requests = [(); REQUESTS as usize].map(|()| threads.spawn(|| client.embed(&texts)));
        eventually("all are accepted", || {
            // The request for the metrics is in flight as well.
            program.client.metric("embedding_requests_in_flight").unwrap() > f64::from(REQUESTS)
        });
        program.terminate();
        for request in requests {
            assert_eq!(request.join().unwrap().unwrap().len(), texts.len());
        }
    });
    let (code, log) = program.end();
    let lines = ["embedding-service: shutting down\n", "embedding-service: shut down; all requests are answered\n"];
    assert_eq!((code, log), (Some(0), lines.concat()));
}

/// Returns the resident memory of a service whose workers have embedded texts, in MiB.
#[cfg(target_os = "linux")]
fn resident_memory(backend: &str, workers: &str) -> usize {
    let program = Program::start(backend, &["--workers", workers]);
    thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| program.client.embed(&["a text"]).unwrap());
        }
    });
    let status = fs::read_to_string(format!("/proc/{}/status", program.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    program.terminate();
    assert_eq!(program.end().0, Some(0));
    kilobytes / 1024
}

#[test]
#[cfg(target_os = "linux")]
fn workers_share_one_copy_of_the_weights() {
    for backend in if cfg!(feature = "mlx") { &["cpu", "mlx"][..] } else { &["cpu"] } {
        // The weights are 86 MiB, so three copies more would be 258.
        let (one, four) = (resident_memory(backend, "1"), resident_memory(backend, "4"));
        assert!(four < one + 60, "{one} MiB with one worker, {four} MiB with four, on {backend}");
    }
}

#[test]
fn errors_say_what_to_do() {
    let run = |arguments: &[&str]| command(&["--backend", "cpu"]).args(arguments).output().unwrap();
    let fails = |output: Output, code: i32, parts: &[&str]| {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{part:?} in {stderr}");
        }
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use =
        format!("embedding-service: cannot listen on {address}; choose another address or port in --listen: ");
    fails(run(&["--listen", &address]), 1, &[&in_use]);

    let here = ["--listen", "127.0.0.1:0"];
    let with = |arguments: &[&str]| run(&[&here, arguments].concat());
    // A name from outside does not reach the terminal as it is.
    fails(
        with(&["--model", "no\x1b[31mfolder"]),
        1,
        &[r"cannot read the model file no\u{1b}[31mfolder/model.safetensors"],
    );
    fails(with(&["--max-texts", "300"]), 1, &["a request may have 300 texts and the queue has space for 256"]);
    fails(with(&["--device", "gpu"]), 1, &["cannot use device gpu: the CPU fallback has no GPU"]);
    fails(with(&["--max-wait", "5"]), 2, &["--max-wait <TIME>", "time unit needed"]);
    fails(with(&["--workers", "0"]), 2, &["--workers <N>"]);
}
