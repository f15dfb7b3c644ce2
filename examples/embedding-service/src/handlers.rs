//! The routes and their handlers.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use grad_runtime::attr::inference_mode;
use serde_json::{Value, json};

use crate::api::{ApiError, EmbeddingsRequest, EmbeddingsResponse, Limits};
use crate::log;
use crate::metrics::{Metrics, Place};
use crate::page::Page;
use crate::queue::{BatchFailed, Queue};

/// State that the handlers share.
pub(crate) struct App {
    pub queue: Arc<Queue>,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
    pub request_timeout: Duration,
    pub backend: String,
    pub page: Page,
}

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/v1/embeddings", post(embeddings))
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(app.limits.body))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

/// Embeds the texts of a request. The scope is entered each time the handler is polled, on any thread of the runtime, and left
/// while the handler waits. If the client leaves, the handler is dropped, and with it the receivers: queued texts are cancelled.
#[inference_mode]
async fn embeddings(
    State(app): State<Arc<App>>,
    request: Result<Json<EmbeddingsRequest>, JsonRejection>,
) -> Result<Json<EmbeddingsResponse>, ApiError> {
    let Json(request) = request?;
    let (texts, format) = request.texts(&app.limits)?;
    let mut embeddings = Vec::with_capacity(texts.len());
    for answer in app.queue.push(texts)? {
        // A sender that is dropped without an answer belonged to a worker that failed.
        embeddings.push(answer.await.unwrap_or(Err(BatchFailed))?);
        app.metrics.check_mode(Place::Handler);
    }
    Ok(Json(EmbeddingsResponse::new(embeddings, format)))
}

async fn page(State(app): State<Arc<App>>) -> Response {
    app.page.response()
}

async fn metrics(State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    let text = app.metrics.text().map_err(|error| {
        log::line(format_args!("cannot write the metrics: {error:#}"));
        let message = "cannot write the metrics: the service's log has the reason".into();
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics_failed", message)
    })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

async fn health(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "status": "ok", "backend": app.backend }))
}

async fn unknown_route() -> ApiError {
    let message = "cannot find this path; there are /, /v1/embeddings, /metrics and /healthz".into();
    ApiError::new(StatusCode::NOT_FOUND, "unknown_path", message)
}

async fn unknown_method() -> ApiError {
    let message = "cannot use this method; POST to /v1/embeddings, and GET the other paths".into();
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "unknown_method", message)
}

/// Counts a request, limits its time, and checks that its handler's scope has not leaked to this thread.
async fn observe(
    State(app): State<Arc<App>>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let in_flight = app.metrics.begin_request(route.as_ref().map_or("other", MatchedPath::as_str));
    app.metrics.check_mode(Place::AroundHandler);
    let response = tokio::time::timeout(app.request_timeout, next.run(request)).await.unwrap_or_else(|_| {
        let seconds = app.request_timeout.as_secs_f32();
        let message = format!("cannot answer within {seconds} s; try again later");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message).into_response()
    });
    app.metrics.check_mode(Place::AroundHandler);
    in_flight.end(response.status());
    response
}
