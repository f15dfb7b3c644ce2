//! The service: its parts, put together, served and shut down.

use std::future::IntoFuture;
use std::mem;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::api::Limits;
use crate::handlers::{App, router};
use crate::metrics::Metrics;
use crate::model::SharedModel;
use crate::page::Page;
use crate::queue::{Batching, Queue};
use crate::worker;

/// The settings of a service.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The number of workers.
    pub workers: NonZeroUsize,
    /// When a batch is formed, and how many texts may wait.
    pub batching: Batching,
    /// Limits of a request.
    pub limits: Limits,
    /// How long a request may take, its body included.
    pub request_timeout: Duration,
    /// How long requests may take after a shutdown has begun.
    pub shutdown_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let number = |number| NonZeroUsize::new(number).expect("not zero");
        Self {
            workers: number(2),
            batching: Batching { max_batch: number(16), max_wait: Duration::from_millis(5), capacity: number(256) },
            limits: Limits { texts: 64, characters: 8192, body: 1 << 20 },
            request_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(20),
        }
    }
}

/// A service whose workers have opened the model.
pub struct Service {
    app: Arc<App>,
    workers: Vec<JoinHandle<()>>,
    shutdown_timeout: Duration,
}

impl Service {
    /// Starts the workers.
    ///
    /// # Errors
    ///
    /// If the queue is too small for a request, or a worker cannot open the model.
    pub fn start(model: &Arc<dyn SharedModel>, config: &Config) -> Result<Self> {
        let Config { workers, batching, limits, request_timeout, shutdown_timeout } = *config;
        ensure!(
            limits.texts <= batching.capacity.get(),
            "cannot start: a request may have {} texts and the queue has space for {}; enlarge the queue",
            limits.texts,
            batching.capacity
        );
        let metrics = Arc::new(Metrics::new()?);
        let queue = Arc::new(Queue::new(batching, Arc::clone(&metrics)));
        let workers = worker::start(workers.get(), model, &queue, &metrics).inspect_err(|_| queue.close())?;
        let backend = model.backend().to_owned();
        let app = App { queue, metrics, limits, request_timeout, backend, page: Page::new() };
        Ok(Self { app: Arc::new(app), workers, shutdown_timeout })
    }

    /// Answers requests until `shutdown` completes; then accepts no more, answers those that were accepted, and ends the workers.
    ///
    /// # Errors
    ///
    /// If the listener fails, or requests are unanswered when the time for the shutdown is over.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let (tell, told) = oneshot::channel();
        let signal = async move {
            shutdown.await;
            let _ = tell.send(());
        };
        let too_late = async {
            match told.await {
                Ok(()) => sleep(self.shutdown_timeout).await,
                // The server has failed and dropped its signal.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            served = axum::serve(listener, router(Arc::clone(&self.app))).with_graceful_shutdown(signal).into_future() => {
                served.context("cannot go on serving")?;
            }
            // A client may hold a connection open without a request.
            () = too_late => {
                let unanswered = self.app.metrics.in_flight();
                let seconds = self.shutdown_timeout.as_secs_f32();
                ensure!(unanswered == 0, "cannot answer {unanswered} requests within the {seconds} s of the shutdown");
            }
        }
        self.app.queue.close();
        self.end_workers().await
    }

    /// Waits until the workers have ended.
    async fn end_workers(&mut self) -> Result<()> {
        let ended = async {
            // Blocking on a thread would make the end of the runtime wait for a batch that does not end.
            while !self.workers.iter().all(JoinHandle::is_finished) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        let seconds = self.shutdown_timeout.as_secs_f32();
        let too_late = || format!("cannot end the workers within {seconds} s: a batch takes longer");
        timeout(self.shutdown_timeout, ended).await.with_context(too_late)?;
        let mut workers = mem::take(&mut self.workers).into_iter();
        workers.try_for_each(JoinHandle::join).map_err(|_| anyhow!("cannot end a worker: it has panicked"))
    }
}

/// Ends the workers, also where the service was not served or failed.
impl Drop for Service {
    fn drop(&mut self) {
        self.app.queue.close();
    }
}
