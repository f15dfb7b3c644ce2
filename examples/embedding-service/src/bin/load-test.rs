//! Sends the service many requests at once and checks every answer.
//!
//! ```text
//! cargo run --release -p embedding-service --bin load-test
//! ```

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use embedding_service::background::Background;
use embedding_service::client::{self, Client};
use embedding_service::model;
use embedding_service::service::Config;
use grad_examples::embedder::{self, BackendArgs, Vector};
use grad_examples::exit::exit;
use grad_examples::model_files::ModelFiles;
use mimalloc::MiMalloc;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The least cosine of an answer and the expected embedding. Sums of float32 differ a little with the size of the batch.
const SAME: f32 = 0.99999;

/// Sends the embedding service many requests at once and checks every answer
///
/// Each request has another text, whose embedding is computed beforehand. Prints a table of the latencies, with batching and
/// without. Fails if an answer is lost, wrong or an error, or if the service found a wrong grad mode.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// A running service to test instead of starting one, such as `http://127.0.0.1:8080`
    #[arg(long, conflicts_with_all = ["workers", "max_batch", "max_wait"])]
    url: Option<String>,

    /// The number of requests
    #[arg(long, value_name = "N", default_value = "1000")]
    requests: NonZeroUsize,

    /// The number of requests at the same time
    #[arg(long, value_name = "N", default_value = "64")]
    concurrency: NonZeroUsize,

    /// The number of the service's workers
    #[arg(long, value_name = "N", default_value = "2")]
    workers: NonZeroUsize,

    /// The maximum number of texts in a batch
    #[arg(long, value_name = "N", default_value = "16")]
    max_batch: NonZeroUsize,

    /// How long a text may wait for others
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = humantime::parse_duration)]
    max_wait: Duration,

    #[command(flatten)]
    on: BackendArgs,
}

fn main() -> ExitCode {
    exit("load-test", run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let texts = (0..args.requests.get()).map(text).collect::<Vec<_>>();
    let files = ModelFiles::open(None)?;
    let embedder = embedder::open(&args.on.into(), &files)?;
    let expected = embedder.embed(&texts.iter().map(String::as_str).collect::<Vec<_>>(), &mut |_| {})?;
    let load = Load { texts, expected, concurrency: args.concurrency.get() };

    if let Some(url) = &args.url {
        let outcome = load.send(&Client::new(url))?;
        print(&[("running service".into(), &outcome)]);
        return outcome.check();
    }
    let model = model::load(args.on.backend, args.on.device, &files)?;
    drop((files, embedder));
    let serve_and_send = |max_batch| {
        let mut config = Config { workers: args.workers, ..Config::default() };
        config.batching.max_batch = max_batch;
        config.batching.max_wait = args.max_wait;
        let service = Background::start(&model, &config)?;
        let outcome = load.send(&Client::new(&service.url()))?;
        service.stop()?;
        anyhow::Ok(outcome)
    };
    let batched = serve_and_send(args.max_batch)?;
    let single = serve_and_send(NonZeroUsize::MIN)?;
    println!("{} workers ({})\n", args.workers, model.backend());
    print(&[(format!("batches of up to {}", args.max_batch), &batched), ("one at a time".into(), &single)]);
    batched.check().and_then(|()| single.check())
}

/// Returns the text of a request: 7 to 38 words, and no two alike.
fn text(number: usize) -> String {
    const SUBJECTS: [&str; 10] = [
        "A baker",
        "The compiler",
        "A river",
        "Your doctor",
        "The tax office",
        "A violin",
        "Some cats",
        "The moon",
        "A lawyer",
        "My train",
    ];
    const VERBS: [&str; 5] = ["waits for", "explains", "has lost", "reminds me of", "is older than"];
    const OBJECTS: [&str; 4] = ["the bridge", "a warm evening", "that long invoice", "the first snow"];

    let subject = SUBJECTS[number % SUBJECTS.len()];
    let verb = VERBS[number / 10 % VERBS.len()];
    let object = OBJECTS[number / 50 % OBJECTS.len()];
    let more = "and so the story goes on for a while ".repeat(number % 4);
    format!("{subject} {verb} {object} {more}number {number}.")
}

struct Load {
    texts: Vec<String>,
    expected: Vec<Vector>,
    concurrency: usize,
}

/// How a request ended.
enum End {
    Right,
    /// The vector of another text, or no vector.
    Wrong,
    /// A response with another status than 200.
    Error(String),
    /// No response.
    Lost(String),
}

impl Load {
    /// Sends all requests; each thread sends the next one when it has an answer.
    fn send(&self, client: &Client) -> Result<Outcome> {
        let before = Counts::read(client)?;
        let next = AtomicUsize::new(0);
        let ends = Mutex::new(Vec::with_capacity(self.texts.len()));
        let begin = Instant::now();
        thread::scope(|threads| {
            for _ in 0..self.concurrency {
                threads.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(text) = self.texts.get(number) else { break };
                        let sent = Instant::now();
                        let end = match client.post(&json!({ "input": text })) {
                            Ok((200, body)) => self.check(number, body),
                            Ok((status, body)) => End::Error(format!("the service answers {status}: {body}")),
                            Err(error) => End::Lost(format!("{error:#}")),
                        };
                        ends.lock().expect("no thread panics").push((sent.elapsed(), end));
                    }
                });
            }
        });
        let wall = begin.elapsed();
        let after = Counts::read(client)?;
        let ends = ends.into_inner().expect("no thread panics");
        let mut latencies = ends.iter().map(|(latency, _)| *latency).collect::<Vec<_>>();
        latencies.sort_unstable();
        Ok(Outcome {
            requests: self.texts.len(),
            concurrency: self.concurrency,
            ends: ends.into_iter().map(|(_, end)| end).collect(),
            wrong_modes: after.wrong_modes - before.wrong_modes,
            mean_batch: (after.texts - before.texts) / (after.batches - before.batches),
            wall,
            latencies,
        })
    }

    fn check(&self, number: usize, body: Value) -> End {
        match client::vectors(body).as_deref() {
            Ok([vector]) if cosine(vector, &self.expected[number]) > SAME => End::Right,
            _ => End::Wrong,
        }
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Figures of the service's metrics.
struct Counts {
    texts: f64,
    batches: f64,
    wrong_modes: f64,
}

impl Counts {
    fn read(client: &Client) -> Result<Self> {
        let metric = |name| client.metric(name).context("cannot read the metrics of the service");
        Ok(Self {
            texts: metric("embedding_batch_texts_sum")?,
            batches: metric("embedding_batch_texts_count")?,
            wrong_modes: metric("embedding_wrong_mode_total")?,
        })
    }
}

struct Outcome {
    requests: usize,
    concurrency: usize,
    ends: Vec<End>,
    wrong_modes: f64,
    mean_batch: f64,
    wall: Duration,
    /// Sorted.
    latencies: Vec<Duration>,
}

impl Outcome {
    /// Returns the latency that a share of the requests does not exceed, in per cent.
    fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.latencies.len() * percent).div_ceil(100).max(1);
        self.latencies[rank - 1]
    }

    /// Returns the figures of the table's rows.
    fn figures(&self) -> [String; 13] {
        let milliseconds = |percent| format!("{:.0} ms", self.percentile(percent).as_secs_f64() * 1e3);
        #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
        let rate = self.latencies.len() as f64 / self.wall.as_secs_f64();
        [
            self.requests.to_string(),
            self.concurrency.to_string(),
            self.count(|end| matches!(end, End::Right)).to_string(),
            self.count(|end| matches!(end, End::Wrong)).to_string(),
            self.count(|end| matches!(end, End::Error(_))).to_string(),
            self.count(|end| matches!(end, End::Lost(_))).to_string(),
            self.wrong_modes.to_string(),
            format!("{:.1}", self.mean_batch),
            format!("{rate:.0}"),
            milliseconds(50),
            milliseconds(90),
            milliseconds(99),
            milliseconds(100),
        ]
    }

    fn count(&self, of: impl Fn(&End) -> bool) -> usize {
        self.ends.iter().filter(|end| of(end)).count()
    }

    fn check(&self) -> Result<()> {
        let right = self.count(|end| matches!(end, End::Right));
        let reason = self.ends.iter().find_map(|end| match end {
            End::Error(reason) | End::Lost(reason) => Some(format!("; {reason}")),
            End::Right | End::Wrong => None,
        });
        ensure!(
            right == self.requests && self.wrong_modes == 0.0,
            "{right} of {} answers are right, and there are {} wrong modes{}",
            self.requests,
            self.wrong_modes,
            reason.unwrap_or_default()
        );
        Ok(())
    }
}

/// Prints a table with a row for each figure and a column for each outcome.
fn print(columns: &[(String, &Outcome)]) {
    let names = [
        "requests",
        "at once",
        "right",
        "wrong",
        "errors",
        "lost",
        "wrong grad modes",
        "mean texts in a batch",
        "requests per second",
        "latency p50",
        "latency p90",
        "latency p99",
        "latency max",
    ];
    print_row("", columns.iter().map(|(name, _)| name));
    println!("|{:-<23}|{}", "", format!("{:->22}:|", "").repeat(columns.len()));
    let columns = columns.iter().map(|(_, outcome)| outcome.figures()).collect::<Vec<_>>();
    for (row, name) in names.iter().enumerate() {
        print_row(name, columns.iter().map(|figures| &figures[row]));
    }
}

fn print_row<'a>(name: &str, cells: impl Iterator<Item = &'a String>) {
    print!("| {name:<22}|");
    cells.for_each(|cell| print!(" {cell:>21} |"));
    println!();
}
