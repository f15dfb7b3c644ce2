//! Sends requests to a service with the real model and compares the answers with those of the embedder.
#![cfg(any(feature = "cpu", feature = "mlx"))]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use embedding_service::background::Background;
use embedding_service::client::Client;
use embedding_service::model::{self, SharedModel};
use embedding_service::service::Config;
use grad_examples::embedder::{self, BackendArgs, Choice, Vector};
use grad_examples::model_files::ModelFiles;
use grad_runtime::is_grad_enabled;
use serde_json::json;

/// Texts of different lengths, so that batches are padded.
const TEXTS: [&str; 6] = [
    "Hello",
    "Hello there.",
    "The scope ends where the function ends, whichever way it ends.",
    "Grüße aus Köln, 你好, and a\ttab.",
    "<img src=x onerror=alert(1)>",
    "A river waits for the first snow, and so the story goes on for a while.",
];

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn assert_same(found: &[Vector], expected: &[Vector]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let cosine = cosine(found, expected);
        assert!(found.len() == expected.len() && cosine > 0.99999, "{cosine}");
    }
}

/// The model on a backend, and the expected embeddings of [`TEXTS`].
fn load(backend: Choice) -> (Arc<dyn SharedModel>, Vec<Vector>) {
    let files = ModelFiles::open(None).unwrap();
    let expected = embedder::open(&BackendArgs { backend, device: None }.into(), &files).unwrap();
    let expected = expected.embed(&TEXTS, &mut |_| {}).unwrap();
    (model::load(backend, None, &files).unwrap(), expected)
}

fn answers_are_those_of_the_embedder(backend: Choice) {
    let (model, expected) = load(backend);
    let mut config = Config::default();
    config.batching.max_wait = Duration::from_millis(200);
    let service = Background::start(&model, &config).unwrap();
    let client = Client::new(&service.url());

    // One request with all texts.
    let (status, body) = client.post(&json!({ "input": TEXTS, "model": "all-MiniLM-L6-v2" })).unwrap();
    assert_eq!((status, &body["object"], &body["model"]), (200, &json!("list"), &json!("all-MiniLM-L6-v2")));
    assert_eq!(body["usage"]["prompt_tokens"], body["usage"]["total_tokens"]);
    for (at, entry) in body["data"].as_array().unwrap().iter().enumerate() {
        assert_eq!((&entry["index"], &entry["object"]), (&json!(at), &json!("embedding")));
    }
    assert_same(&client.embed(&TEXTS).unwrap(), &expected);

    // A request for each text, at the same time: they are batched.
    let batches = client.metric("embedding_batch_texts_count").unwrap();
    let found = thread::scope(|threads| {
        let requests = TEXTS.map(|text| threads.spawn(|| client.embed(&[text]).unwrap().remove(0)));
        requests.map(|request| request.join().unwrap())
    });
    assert_same(&found, &expected);
    let batches = client.metric("embedding_batch_texts_count").unwrap() - batches;
    assert!(batches < 6.0, "6 texts in {batches} batches");

    // A text that is not in a list, in base64.
    let (status, body) = client.post(&json!({ "input": TEXTS[0], "encoding_format": "base64" })).unwrap();
    let bytes = BASE64_STANDARD.decode(body["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let (numbers, rest) = bytes.as_chunks();
    let found = numbers.iter().copied().map(f32::from_le_bytes).collect::<Vec<_>>();
    assert_eq!((status, rest.len(), &body["usage"]), (200, 0, &json!({ "prompt_tokens": 3, "total_tokens": 3 })));
    assert_same(&[found], &expected[..1]);

    assert_eq!(client.metric("embedding_wrong_mode_total").unwrap().to_bits(), 0);
    assert_eq!(client.metric("embedding_batch_failures_total").unwrap().to_bits(), 0);
    service.stop().unwrap();
    assert!(is_grad_enabled());
}

fn more_texts_than_a_batch_may_have(backend: Choice) {
    let (model, expected) = load(backend);
    let mut config = Config::default();
    config.batching.max_batch = NonZeroUsize::new(4).unwrap();
    let service = Background::start(&model, &config).unwrap();
    let client = Client::new(&service.url());
    assert_same(&client.embed(&TEXTS).unwrap(), &expected);
    let metric = |name| client.metric(name).unwrap();
    assert_eq!((metric("embedding_batch_texts_sum"), metric("embedding_batch_texts_count")), (6.0, 2.0));
    service.stop().unwrap();
}

macro_rules! on {
    ($feature:literal, $module:ident, $backend:expr) => {
        #[cfg(feature = $feature)]
        mod $module {
            use super::Choice;

            #[test]
            fn answers_are_those_of_the_embedder() {
                super::answers_are_those_of_the_embedder($backend);
            }

            #[test]
            fn more_texts_than_a_batch_may_have() {
                super::more_texts_than_a_batch_may_have($backend);
            }
        }
    };
}

on!("cpu", cpu, Choice::Cpu);
on!("mlx", mlx, Choice::Mlx);
