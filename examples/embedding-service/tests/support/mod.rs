//! A model that waits, fails and panics when a text says so, and requests byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use embedding_service::background::Background;
use embedding_service::client::Client;
use embedding_service::model::{Embedding, Model, SharedModel};
use embedding_service::service::Config;
use grad_runtime::{GradMode, assert_grad_mode};

/// A model whose vectors are the lengths of the texts.
#[derive(Clone, Default)]
pub struct Fake(Arc<State>);

#[derive(Default)]
struct State {
    seen: Mutex<Vec<String>>,
    released: Mutex<bool>,
    changed: Condvar,
}

impl Fake {
    /// Lets the texts `wait` through, now and later.
    pub fn release(&self) {
        *self.0.released.lock().unwrap() = true;
        self.0.changed.notify_all();
    }

    /// Returns the texts that were embedded, in order.
    pub fn seen(&self) -> Vec<String> {
        self.0.seen.lock().unwrap().clone()
    }

    /// Starts a service with this model.
    pub fn serve(&self, config: &Config) -> (Background, Client) {
        let service = Background::start(&self.shared(), config).unwrap();
        let client = Client::new(&service.url());
        (service, client)
    }

    /// Returns this model for [`Service::start`](embedding_service::service::Service::start).
    pub fn shared(&self) -> Arc<dyn SharedModel> {
        Arc::new(self.clone())
    }
}

impl SharedModel for Fake {
    fn backend(&self) -> &'static str {
        "fake"
    }

    fn open(&self) -> Result<Box<dyn Model>> {
        Ok(Box::new(self.clone()))
    }
}

impl Model for Fake {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>> {
        assert_grad_mode(GradMode::Inference);
        for &text in texts {
            self.0.seen.lock().unwrap().push(text.to_owned());
            match text {
                "wait" => {
                    let released = self.0.released.lock().unwrap();
                    drop(self.0.changed.wait_while(released, |released| !*released).unwrap());
                }
                "panic" => panic!("the text is {text}"),
                "error" => bail!("the text is {text}"),
                "leak" => std::mem::forget(grad_runtime::no_grad()),
                _ => {}
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "the texts are short")]
        let embedding = |text: &&str| Embedding { vector: vec![text.len() as f32], tokens: 1 };
        Ok(texts.iter().map(embedding).collect())
    }
}

/// Sends bytes and returns all that the service answers before it closes the connection.
pub fn raw(service: &Background, request: &str) -> String {
    let mut connection = connect(service);
    connection.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    response
}

/// Opens a connection.
pub fn connect(service: &Background) -> TcpStream {
    TcpStream::connect(service.url().strip_prefix("http://").unwrap()).unwrap()
}

/// Returns the bytes of a request with a body.
pub fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// Waits until a condition holds.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}
