//! Checks failures: requests that are refused, clients that leave, workers that fail, a shutdown under load.

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use embedding_service::api::Limits;
use embedding_service::client::Client;
use embedding_service::metrics::{Metrics, Place};
use embedding_service::model::{Model, SharedModel};
use embedding_service::service::{Config, Service};
use grad_runtime::{inference_mode, is_grad_enabled};
use serde_json::{Value, json};
use support::{Fake, connect, eventually, post, raw};
use tokio::net::TcpListener;

mod support;

/// One worker, a batch for each text, and space for four texts.
fn config() -> Config {
    let mut config = Config { workers: NonZeroUsize::MIN, ..Config::default() };
    config.batching.max_batch = NonZeroUsize::MIN;
    config.batching.capacity = NonZeroUsize::new(4).unwrap();
    config.limits = Limits { texts: 3, characters: 10, body: 400 };
    config
}

fn count(client: &Client, metric: &str) -> usize {
    let value = client.metric(metric).unwrap();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = value as usize;
    count
}

fn message(body: &Value) -> &str {
    body["error"]["message"].as_str().unwrap()
}

#[test]
fn requests_are_refused_with_the_reason() {
    let (service, client) = Fake::default().serve(&config());
    let cases = [
        (json!({}), 400, "missing field `input`"),
        (json!({ "input": 3 }), 400, "`input` must be a text or a list of texts"),
        (json!({ "input": [[1, 2]] }), 400, "`input` must be a text or a list of texts"),
        (json!({ "input": [] }), 400, "cannot embed `input`: it has no texts"),
        (json!({ "input": "" }), 400, "cannot embed text 0 of `input`: it is empty"),
        (json!({ "input": ["a", " \n"] }), 400, "cannot embed text 1 of `input`: it is empty"),
        (json!({ "input": ["a", "b", "c", "d"] }), 400, "cannot embed 4 texts: a request may have 3; send several"),
        (json!({ "input": "elf Zeichen" }), 400, "it has 11 characters; a text may have 10"),
        (json!({ "input": "a", "encoding_format": "int8" }), 400, "expected `float` or `base64`"),
        (json!({ "input": "a", "dimensions": 8 }), 400, "an embedding of this model has 384"),
        (json!({ "input": "a", "model": "other" }), 404, r#"this service has "all-MiniLM-L6-v2""#),
    ];
    for (request, expected, reason) in cases {
        let (status, body) = client.post(&request).unwrap();
        assert_eq!(status, expected, "{request}");
        assert!(message(&body).starts_with("cannot ") && message(&body).contains(reason), "{body}");
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
    // Lengths are in characters, not in bytes.
    assert_eq!(client.post(&json!({ "input": "zehn ÄÖÜäö" })).unwrap().0, 200);

    let raw = |request: &str| raw(&service, request);
    let broken = raw(&post(r#"{"input": "#));
    assert!(broken.starts_with("HTTP/1.1 400 ") && broken.contains("as JSON"), "{broken}");
    let long = raw(&post(&json!({ "input": "a".repeat(400) }).to_string()));
    assert!(long.starts_with("HTTP/1.1 413 ") && long.contains("its body is too long"), "{long}");
    let form = raw(&post(r#"{"input": "a"}"#).replace("application/json", "text/plain"));
    assert!(form.starts_with("HTTP/1.1 415 ") && form.contains("application/json"), "{form}");
    let path = raw("GET /v2 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(path.starts_with("HTTP/1.1 404 ") && path.contains("cannot find this path"), "{path}");
    let method = raw("GET /v1/embeddings HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert!(method.starts_with("HTTP/1.1 405 ") && method.contains("cannot use this method"), "{method}");
    assert_eq!(client.get("/healthz").unwrap(), r#"{"backend":"fake","status":"ok"}"#);
    service.stop().unwrap();
}

#[test]
fn a_full_queue_refuses_and_recovers() {
    let fake = Fake::default();
    let (service, client) = fake.serve(&config());
    thread::scope(|threads| {
        // The first occupies the worker, the others the queue.
        let first = threads.spawn(|| client.embed(&["wait"]).unwrap());
        eventually("the worker waits", || fake.seen() == ["wait"]);
        let others = [2, 3].map(|length| {
            let text = "a".repeat(length);
            let client = &client;
            threads.spawn(move || client.embed(&[&text, &text]).unwrap())
        });
        eventually("the queue is full", || count(&client, "embedding_queue_texts") == 4);

        let response = raw(&service, &post(r#"{"input": "a"}"#));
        assert!(response.starts_with("HTTP/1.1 503 ") && response.contains("retry-after: 1\r\n"), "{response}");
        assert!(
            response.contains("4 texts are waiting") && response.contains(r#""code":"queue_full""#),
            "{response}"
        );

        fake.release();
        assert_eq!(first.join().unwrap(), [[4.0]]);
        assert_eq!(others.map(|other| other.join().unwrap()), [[[2.0], [2.0]], [[3.0], [3.0]]]);
    });
    assert_eq!(client.embed(&["abc"]).unwrap(), [[3.0]]);
    service.stop().unwrap();
}

#[test]
fn texts_of_clients_that_left_are_not_embedded() {
    let fake = Fake::default();
    let (service, client) = fake.serve(&config());
    thread::scope(|threads| {
        let first = threads.spawn(|| client.embed(&["wait"]).unwrap());
        eventually("the worker waits", || fake.seen() == ["wait"]);
        let mut leaving = connect(&service);
        leaving.write_all(post(r#"{"input": ["gone 1", "gone 2"]}"#).as_bytes()).unwrap();
        eventually("its texts wait", || count(&client, "embedding_queue_texts") == 2);
        drop(leaving);
        // The request for the metrics is in flight as well.
        eventually("its handler is dropped", || count(&client, "embedding_requests_in_flight") == 2);

        // Cancelled texts do not fill the queue.
        let second = threads.spawn(|| client.embed(&["a", "b", "c"]).unwrap());
        eventually("they make space", || count(&client, "embedding_queue_texts") == 3);
        fake.release();
        assert_eq!((first.join().unwrap().len(), second.join().unwrap().len()), (1, 3));
    });
    assert_eq!(fake.seen(), ["wait", "a", "b", "c"]);
    assert_eq!(count(&client, "embedding_cancelled_texts_total"), 2);
    service.stop().unwrap();
}

#[test]
fn a_worker_that_fails_goes_on() {
    let (service, client) = Fake::default().serve(&config());
    for (text, failures) in [("panic", 1), ("error", 2)] {
        let (status, body) = client.post(&json!({ "input": text })).unwrap();
        assert_eq!((status, &body["error"]["type"]), (500, &json!("server_error")));
        assert!(message(&body).starts_with("cannot compute the embeddings: a worker failed"), "{body}");
        assert_eq!(count(&client, "embedding_batch_failures_total"), failures);
        assert_eq!(client.embed(&["abc"]).unwrap(), [[3.0]]);
    }
    assert_eq!(count(&client, "embedding_wrong_mode_total"), 0);
    service.stop().unwrap();
}

#[test]
fn a_request_that_takes_too_long_ends() {
    let fake = Fake::default();
    let time = Duration::from_millis(50);
    let (service, client) = fake.serve(&Config { request_timeout: time, shutdown_timeout: time, ..config() });
    let (status, body) = client.post(&json!({ "input": "wait" })).unwrap();
    assert_eq!((status, message(&body)), (503, "cannot answer within 0.05 s; try again later"));
    // A body that does not come.
    let unfinished = raw(&service, post("{}").trim_end_matches('}'));
    assert!(unfinished.starts_with("HTTP/1.1 503 "), "{unfinished}");
    // The worker is still busy with the text.
    let error = service.stop().unwrap_err().to_string();
    assert_eq!(error, "cannot end the workers within 0.05 s: a batch takes longer");
    fake.release();
}

#[test]
fn a_shutdown_answers_what_was_accepted() {
    let fake = Fake::default();
    let (service, client) = fake.serve(&config());
    thread::scope(|threads| {
        let first = threads.spawn(|| client.embed(&["wait", "a"]).unwrap());
        eventually("the worker waits", || fake.seen() == ["wait"]);
        let second = threads.spawn(|| client.embed(&["bb", "ccc"]).unwrap());
        eventually("both are accepted", || count(&client, "embedding_queue_texts") == 3);
        let url = service.url();
        let stopping = threads.spawn(|| service.stop());
        eventually("no more are accepted", || Client::new(&url).get("/healthz").is_err());
        assert!(!stopping.is_finished());
        fake.release();
        assert_eq!(
            (first.join().unwrap(), second.join().unwrap()),
            (vec![vec![4.0], vec![1.0]], vec![vec![2.0], vec![3.0]])
        );
        stopping.join().unwrap().unwrap();
    });
}

#[test]
fn a_shutdown_takes_no_longer_than_it_may() {
    let shutdown_timeout = Duration::from_millis(50);
    // A connection without a request does not count.
    let (service, _) = Fake::default().serve(&Config { shutdown_timeout, ..config() });
    let mut idle = connect(&service);
    idle.write_all(b"GET ").unwrap();
    service.stop().unwrap();

    let fake = Fake::default();
    let (service, client) = fake.serve(&Config { shutdown_timeout, ..config() });
    thread::scope(|threads| {
        let request = threads.spawn(|| client.embed(&["wait"]));
        eventually("it is accepted", || fake.seen() == ["wait"]);
        let error = service.stop().unwrap_err().to_string();
        assert_eq!(error, "cannot answer 1 requests within the 0.05 s of the shutdown");
        fake.release();
        assert!(request.join().unwrap().is_err());
    });
}

#[test]
fn a_service_that_cannot_start_says_why() {
    /// Opens for the first worker only.
    struct Once(AtomicUsize);

    impl SharedModel for Once {
        fn backend(&self) -> &'static str {
            "once"
        }

        fn open(&self) -> Result<Box<dyn Model>> {
            if self.0.fetch_add(1, Ordering::Relaxed) > 0 {
                bail!("it is open already");
            }
            Ok(Box::new(Fake::default()))
        }
    }

    let start = |model: Arc<dyn SharedModel>, config: &Config| {
        format!("{:#}", Service::start(&model, config).map(drop).unwrap_err())
    };
    let config = config();
    let two = Config { workers: NonZeroUsize::new(2).unwrap(), ..config };
    assert_eq!(
        start(Arc::new(Once(AtomicUsize::new(0))), &two),
        "cannot open the model in a worker: it is open already"
    );
    let limits = Limits { texts: 5, ..config.limits };
    assert_eq!(
        start(Fake::default().shared(), &Config { limits, ..config }),
        "cannot start: a request may have 5 texts and the queue has space for 4; enlarge the queue"
    );
}

/// Runs a handler and another task on one thread, in turns.
#[test]
fn a_scope_stays_in_its_handler() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answered = AtomicBool::new(false);
    let fake = Fake::default();
    fake.release();
    let service = Service::start(&fake.shared(), &config()).unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()));
        let requests = tokio::task::spawn_blocking(move || {
            for _ in 0..20 {
                assert_eq!(client.embed(&["wait", "a"]).unwrap(), [[4.0], [1.0]]);
            }
            assert_eq!(count(&client, "embedding_wrong_mode_total"), 0);
        });
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let serving = tokio::spawn(service.serve(listener, async move { stopped.await.unwrap() }));
        let mut turns = 0_u64;
        let watching = async {
            while !answered.load(Ordering::Relaxed) {
                assert!(is_grad_enabled(), "in turn {turns}");
                turns += 1;
                tokio::task::yield_now().await;
            }
        };
        let sending = async {
            requests.await.unwrap();
            answered.store(true, Ordering::Relaxed);
        };
        tokio::join!(watching, sending);
        assert!(turns > 20, "{turns} turns");
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
    });
}

#[test]
fn wrong_modes_are_counted() {
    // A guard that is leaked in a worker.
    let (service, client) = Fake::default().serve(&config());
    client.embed(&["leak"]).unwrap();
    assert!(count(&client, "embedding_wrong_mode_total") > 0);
    service.stop().unwrap();

    let metrics = Metrics::new().unwrap();
    metrics.check_mode(Place::Handler);
    metrics.check_mode(Place::AroundHandler);
    let _scope = inference_mode(true);
    metrics.check_mode(Place::Batch);
    metrics.check_mode(Place::BetweenBatches);
    let text = metrics.text().unwrap();
    for (place, wrong) in [("handler", 1), ("around_handler", 0), ("batch", 0), ("between_batches", 1)] {
        let line = format!("embedding_wrong_mode_total{{place=\"{place}\"}} {wrong}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}
