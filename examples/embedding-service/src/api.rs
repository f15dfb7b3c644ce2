//! The shape of requests, responses and errors: that of the [embeddings API] which clients speak already.
//!
//! [embeddings API]: https://platform.openai.com/docs/api-reference/embeddings

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::model::{DIMENSIONS, Embedding, MODEL_NAME};
use crate::queue::{BatchFailed, Refused};

/// Limits of a request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The maximum number of texts.
    pub texts: usize,
    /// The maximum length of a text in characters. The model ignores tokens after the 256th, about 1,000 characters of English.
    pub characters: usize,
    /// The maximum length of the body in bytes.
    pub body: usize,
}

/// The body of `POST /v1/embeddings`. Other members are ignored.
#[derive(Debug, Deserialize)]
pub struct EmbeddingsRequest {
    input: Input,
    model: Option<String>,
    encoding_format: Option<EncodingFormat>,
    dimensions: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`input` must be a text or a list of texts")]
enum Input {
    One(String),
    Many(Vec<String>),
}

/// The form of a vector in the response.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncodingFormat {
    /// A list of numbers.
    #[default]
    Float,
    /// The little-endian bytes of the float32 numbers in base64, which the `openai` package for Python asks for.
    Base64,
}

impl EmbeddingsRequest {
    /// Checks the request and returns its texts.
    ///
    /// # Errors
    ///
    /// If there are no texts or too many, one is empty or too long, or another model or length of the vectors is asked for.
    pub fn texts(self, limits: &Limits) -> Result<(Vec<String>, EncodingFormat), ApiError> {
        if let Some(model) = self.model.filter(|model| model != MODEL_NAME) {
            let reason = format!("cannot use model {model:?}: this service has {MODEL_NAME:?}");
            return Err(ApiError::new(StatusCode::NOT_FOUND, "model_not_found", reason));
        }
        if let Some(dimensions) = self.dimensions.filter(|&dimensions| dimensions != DIMENSIONS) {
            return Err(invalid(format!(
                "cannot return {dimensions} dimensions: an embedding of this model has {DIMENSIONS}; leave out `dimensions`"
            )));
        }
        let texts = match self.input {
            Input::One(text) => vec![text],
            Input::Many(texts) => texts,
        };
        if texts.is_empty() {
            return Err(invalid("cannot embed `input`: it has no texts".into()));
        }
        if texts.len() > limits.texts {
            let (found, limit) = (texts.len(), limits.texts);
            return Err(invalid(format!("cannot embed {found} texts: a request may have {limit}; send several")));
        }
        for (at, text) in texts.iter().enumerate() {
            if text.trim().is_empty() {
                return Err(invalid(format!("cannot embed text {at} of `input`: it is empty")));
            }
            let found = text.chars().count();
            if found > limits.characters {
                let limit = limits.characters;
                return Err(invalid(format!(
                    "cannot embed text {at} of `input`: it has {found} characters; a text may have {limit}"
                )));
            }
        }
        Ok((texts, self.encoding_format.unwrap_or_default()))
    }
}

/// The body of the response to `POST /v1/embeddings`.
#[derive(Debug, Serialize)]
pub struct EmbeddingsResponse {
    object: &'static str,
    data: Vec<Entry>,
    model: &'static str,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Entry {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Vector {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

impl EmbeddingsResponse {
    /// Makes the response from the embeddings of a request's texts, in their order.
    #[must_use]
    pub fn new(embeddings: Vec<Embedding>, format: EncodingFormat) -> Self {
        let tokens = embeddings.iter().map(|embedding| embedding.tokens).sum();
        let entry = |(index, embedding): (usize, Embedding)| {
            let embedding = match format {
                EncodingFormat::Float => Vector::Float(embedding.vector),
                EncodingFormat::Base64 => {
                    let bytes = embedding.vector.iter().flat_map(|number| number.to_le_bytes());
                    Vector::Base64(BASE64_STANDARD.encode(bytes.collect::<Vec<_>>()))
                }
            };
            Entry { object: "embedding", index, embedding }
        };
        Self {
            object: "list",
            data: embeddings.into_iter().enumerate().map(entry).collect(),
            model: MODEL_NAME,
            usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
        }
    }
}

/// An error, in the body as `{"error": {"message", "type", "code"}}`.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    /// Makes an error. The code is for programs, the message for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self { status, code, message }
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_request", message)
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::Full { .. } => "queue_full",
            Refused::Closed => "shutting_down",
        };
        let message = format!("cannot accept the request: {refused}; try again later");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }
}

impl From<BatchFailed> for ApiError {
    fn from(_: BatchFailed) -> Self {
        let message = "cannot compute the embeddings: a worker failed; the service's log has the reason".into();
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "batch_failed", message)
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let message = format!("cannot read the request: {}", rejection.body_text());
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let message = "cannot read the request: its body is too long; send fewer or shorter texts".into();
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_long", message)
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message)
            }
            _ => invalid(message),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let kind = if self.status.is_client_error() { "invalid_request_error" } else { "server_error" };
        let body = json!({ "error": { "message": self.message, "type": kind, "param": null, "code": self.code } });
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}
