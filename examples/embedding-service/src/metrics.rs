//! Counts what the service does, for Prometheus.

use std::time::Instant;

use anyhow::Result;
use axum::http::StatusCode;
use grad_runtime::{GradMode, grad_mode};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

/// A place in the code whose grad mode is checked.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// A handler, after it has waited for its answer: inference mode.
    Handler,
    /// The code around a handler, before and after it: enabled, since a scope belongs to the handler alone.
    AroundHandler,
    /// A worker that computes a batch: inference mode.
    Batch,
    /// A worker between two batches: enabled.
    BetweenBatches,
}

impl Place {
    const ALL: [Self; 4] = [Self::Handler, Self::AroundHandler, Self::Batch, Self::BetweenBatches];

    const fn label(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::AroundHandler => "around_handler",
            Self::Batch => "batch",
            Self::BetweenBatches => "between_batches",
        }
    }

    const fn expected(self) -> GradMode {
        match self {
            Self::Handler | Self::Batch => GradMode::Inference,
            Self::AroundHandler | Self::BetweenBatches => GradMode::Enabled,
        }
    }
}

/// Why a worker could not embed a batch.
#[derive(Debug, Clone, Copy)]
pub enum Failure {
    /// The model returned an error.
    Error,
    /// The model panicked.
    Panic,
}

impl Failure {
    const fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Panic => "panic",
        }
    }
}

/// The metrics of one service.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    in_flight: IntGauge,
    request_seconds: HistogramVec,
    queued: IntGauge,
    cancelled: IntCounter,
    batch_texts: Histogram,
    failures: IntCounterVec,
    wrong_mode: IntCounterVec,
}

impl Metrics {
    /// Registers all metrics, with the value zero.
    ///
    /// # Errors
    ///
    /// If a name is registered twice.
    pub fn new() -> Result<Self> {
        let batch_buckets = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
        let second_buckets = vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("embedding_requests_total", "Requests by route and status; 499 if the client left."),
                &["route", "status"],
            )?,
            in_flight: IntGauge::new("embedding_requests_in_flight", "Requests that are being answered.")?,
            request_seconds: HistogramVec::new(
                HistogramOpts::new(
                    "embedding_request_seconds",
                    "Time from the headers of a request to its response.",
                )
                .buckets(second_buckets),
                &["route"],
            )?,
            queued: IntGauge::new("embedding_queue_texts", "Texts that wait for a worker.")?,
            cancelled: IntCounter::new(
                "embedding_cancelled_texts_total",
                "Texts that were not embedded because the client left.",
            )?,
            batch_texts: Histogram::with_opts(
                HistogramOpts::new("embedding_batch_texts", "Texts in a batch.").buckets(batch_buckets),
            )?,
            failures: IntCounterVec::new(
                Opts::new("embedding_batch_failures_total", "Batches that could not be embedded."),
                &["kind"],
            )?,
            wrong_mode: IntCounterVec::new(
                Opts::new("embedding_wrong_mode_total", "Checks that found another grad mode than they expect."),
                &["place"],
            )?,
        };
        metrics.registry.register(Box::new(metrics.requests.clone()))?;
        metrics.registry.register(Box::new(metrics.in_flight.clone()))?;
        metrics.registry.register(Box::new(metrics.request_seconds.clone()))?;
        metrics.registry.register(Box::new(metrics.queued.clone()))?;
        metrics.registry.register(Box::new(metrics.cancelled.clone()))?;
        metrics.registry.register(Box::new(metrics.batch_texts.clone()))?;
        metrics.registry.register(Box::new(metrics.failures.clone()))?;
        metrics.registry.register(Box::new(metrics.wrong_mode.clone()))?;
        // A series that exists only after its first failure cannot show that there was none.
        for failure in [Failure::Error, Failure::Panic] {
            metrics.failures.with_label_values(&[failure.label()]);
        }
        for place in Place::ALL {
            metrics.wrong_mode.with_label_values(&[place.label()]);
        }
        Ok(metrics)
    }

    /// Returns the metrics in Prometheus's text format.
    ///
    /// # Errors
    ///
    /// If a metric has no name or no value.
    pub fn text(&self) -> Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8(text)?)
    }

    /// Checks that this thread is in the grad mode that a place expects, and counts if it is not.
    pub fn check_mode(&self, place: Place) {
        if grad_mode() != place.expected() {
            self.wrong_mode.with_label_values(&[place.label()]).inc();
        }
    }

    /// Counts a request from now until the value is dropped.
    #[must_use]
    pub fn begin_request<'a>(&'a self, route: &'a str) -> RequestInFlight<'a> {
        self.in_flight.inc();
        RequestInFlight { metrics: self, route, begin: Instant::now(), status: None }
    }

    /// Returns the number of requests that are being answered.
    #[must_use]
    pub fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    pub(crate) fn set_queued(&self, texts: usize) {
        self.queued.set(i64::try_from(texts).unwrap_or(i64::MAX));
    }

    pub(crate) fn add_cancelled(&self, texts: usize) {
        self.cancelled.inc_by(texts as u64);
    }

    #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
    pub(crate) fn add_batch(&self, texts: usize) {
        self.batch_texts.observe(texts as f64);
    }

    pub(crate) fn add_failure(&self, failure: Failure) {
        self.failures.with_label_values(&[failure.label()]).inc();
    }
}

/// A request that is being answered. Its future is dropped early if the client leaves.
#[derive(Debug)]
pub struct RequestInFlight<'a> {
    metrics: &'a Metrics,
    route: &'a str,
    begin: Instant,
    status: Option<StatusCode>,
}

impl RequestInFlight<'_> {
    /// Ends the request with a response.
    pub fn end(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for RequestInFlight<'_> {
    fn drop(&mut self) {
        /// The status that nginx logs for a client that has closed its connection.
        const CLIENT_LEFT: &str = "499";

        let metrics = self.metrics;
        metrics.in_flight.dec();
        let status = self.status.as_ref().map_or(CLIENT_LEFT, StatusCode::as_str);
        metrics.requests.with_label_values(&[self.route, status]).inc();
        if self.status.is_some() {
            let seconds = self.begin.elapsed().as_secs_f64();
            metrics.request_seconds.with_label_values(&[self.route]).observe(seconds);
        }
    }
}
