//! Processes of a ring on this machine, each of which runs the body of the test that starts them.

use std::cell::Cell;
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::ops::Range;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, process, thread};

/// Set in the processes that a test starts.
const CHILD: &str = "GRAD_TEST_RING";

/// How long a test may take. None waits so long where the library keeps its limits.
const LIMIT: Duration = Duration::from_secs(120);

/// One ring at a time: the threads of MLX's ring do not sleep while they wait.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

thread_local! {
    /// How many rings this test has started: a process of one of them runs the body of the same number.
    static STARTED: Cell<usize> = const { Cell::new(0) };
}

/// What became of a process.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub output: String,
    /// What it wrote to its standard error.
    pub errors: String,
}

impl Outcome {
    /// Returns the text behind `name: ` of the line that [`report`] wrote.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    #[must_use]
    pub fn reported(&self, name: &str) -> &str {
        let start = format!("\u{1}{name}: ");
        let line = self.output.split_once(&start).and_then(|(_, rest)| rest.split_once('\u{2}'));
        line.unwrap_or_else(|| panic!("the process reported no {name}: {self:?}")).0
    }
}

/// Reports a text of one or more lines to the test that started this process.
pub fn report(name: &str, text: impl std::fmt::Display) {
    println!("\u{1}{name}: {text}\u{2}");
    let _ = std::io::stdout().flush();
}

/// A ring to be started.
#[derive(Debug)]
pub struct Ring {
    size: usize,
    hosts: Option<String>,
    variables: Vec<(&'static str, String)>,
    absent: Vec<usize>,
    killed: Option<(usize, Duration)>,
}

impl Ring {
    /// Returns a ring of `size` processes, of which every test machine can hold four.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { size, hosts: None, variables: Vec::new(), absent: Vec::new(), killed: None }
    }

    /// Sets a variable of all processes.
    #[must_use]
    pub fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Gives the text of the file that `MLX_HOSTFILE` names.
    #[must_use]
    pub fn hosts(mut self, text: impl Into<String>) -> Self {
        self.hosts = Some(text.into());
        self
    }

    /// Does not start a process.
    #[must_use]
    pub fn without(mut self, rank: usize) -> Self {
        self.absent.push(rank);
        self
    }

    /// Kills a process once it has [reported](report) that it is "ready", after so long.
    #[must_use]
    pub fn kill(mut self, rank: usize, after: Duration) -> Self {
        self.killed = Some((rank, after));
        self
    }

    /// Runs `body` in each process, and returns what became of them to the test that called this. A process of another ring of the
    /// test gets an empty list.
    ///
    /// # Panics
    ///
    /// If a process takes longer than two minutes.
    pub fn run(self, body: impl FnOnce(usize)) -> Vec<Outcome> {
        let number = STARTED.replace(STARTED.get() + 1);
        if let Ok(child) = env::var(CHILD) {
            let (rank, of) = child.split_once('/').expect("rank and number");
            if of.parse() == Ok(number) {
                body(rank.parse().unwrap());
                process::exit(0);
            }
            return Vec::new();
        }
        let test = thread::current().name().expect("a test has a name").to_owned();
        self.start(|rank| {
            let mut command = Command::new(env::current_exe().unwrap());
            command.args(["--exact", &test, "--nocapture", "--test-threads", "1"]);
            command.env(CHILD, format!("{rank}/{number}"));
            command
        })
    }

    /// Runs a program as each process, and returns what became of them.
    ///
    /// # Panics
    ///
    /// If a process takes longer than two minutes.
    #[must_use]
    pub fn program(self, program: &str, arguments: &[&str]) -> Vec<Outcome> {
        self.start(|_| {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        })
    }

    fn start(self, command: impl Fn(usize) -> Command) -> Vec<Outcome> {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let hosts = self.hosts.clone().unwrap_or_else(|| hosts_file(&free_addresses(self.size)));
        file.write_all(hosts.as_bytes()).unwrap();
        let start = |rank: usize| {
            let mut command = command(rank);
            command.env("MLX_RANK", rank.to_string()).env("MLX_HOSTFILE", file.path());
            // Below `LIMIT`, so that a collective that does not complete is an error that names it.
            command.env("GRAD_DISTRIBUTED_TIMEOUT", "90");
            command.envs(self.variables.iter().map(|(name, value)| (name, value)));
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            Process::start(command)
        };
        let started = (0..self.size).filter(|rank| !self.absent.contains(rank)).map(|rank| (rank, start(rank)));
        let mut processes: Vec<(usize, Process)> = started.collect();
        if let Some((rank, after)) = self.killed {
            let (_, process) = processes.iter_mut().find(|(of, _)| *of == rank).expect("it was started");
            process.wait_for("\u{1}ready");
            thread::sleep(after);
            process.child.kill().unwrap();
        }
        processes.into_iter().map(|(_, process)| process.finish()).collect()
    }
}

/// Returns addresses of this machine at which nothing listens.
///
/// Their ports are below those that systems give to connections, on Linux from 32768 on: a process that connects to one of those
/// while nothing listens there may be given that port itself, and so be connected to itself.
///
/// # Panics
///
/// If there are no free ports.
#[must_use]
pub fn free_addresses(count: usize) -> Vec<String> {
    const PORTS: Range<u32> = 10_000..32_000;
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let tried = (0..PORTS.len()).map(|_| {
        // Processes begin at different ports.
        let at = process::id().wrapping_mul(101).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        format!("127.0.0.1:{}", PORTS.start + at % (PORTS.end - PORTS.start))
    });
    let free: Vec<String> = tried.filter(|address| TcpListener::bind(address).is_ok()).take(count).collect();
    assert_eq!(free.len(), count, "there are no free ports");
    free
}

/// Returns the text of a file for `MLX_HOSTFILE`, with one address for each process.
#[must_use]
pub fn hosts_file(addresses: &[String]) -> String {
    let hosts: Vec<String> = addresses.iter().map(|address| format!("[\"{address}\"]")).collect();
    format!("[{}]", hosts.join(", "))
}

/// A process, and what it has written so far.
struct Process {
    child: Child,
    start: Instant,
    output: Collected,
    errors: Collected,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let output = Collected::start(child.stdout.take().expect("it is piped"));
        let errors = Collected::start(child.stderr.take().expect("it is piped"));
        Self { child, start: Instant::now(), output, errors }
    }

    fn wait_for(&mut self, text: &str) {
        while !self.output.text().contains(text) {
            assert!(self.start.elapsed() < LIMIT, "the process did not write {text:?}: {}", self.errors.text());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn finish(mut self) -> Outcome {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.start.elapsed() > LIMIT {
                self.child.kill().unwrap();
                let _ = self.child.wait();
                panic!("a process hangs: {}\n{}", self.output.text(), self.errors.text());
            }
            thread::sleep(Duration::from_millis(5));
        };
        Outcome { status, output: self.output.finish(), errors: self.errors.finish() }
    }
}

/// What a thread has read of a pipe.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: thread::JoinHandle<()>,
}

impl Collected {
    fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let read = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                read.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn finish(self) -> String {
        self.reader.join().unwrap();
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}
