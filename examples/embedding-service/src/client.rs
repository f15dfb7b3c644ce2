//! A client of the service, for tests and the load test.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;

/// A client, which keeps connections for further requests. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    url: String,
}

#[derive(Deserialize)]
struct Embeddings {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    embedding: Vec<f32>,
}

/// Returns the vectors in the body of a response.
///
/// # Errors
///
/// If it has another form.
pub fn vectors(body: Value) -> Result<Vec<Vec<f32>>> {
    let Embeddings { data } = serde_json::from_value(body).context("cannot read the embeddings of a response")?;
    Ok(data.into_iter().map(|entry| entry.embedding).collect())
}

impl Client {
    /// Makes a client of the service at `url`, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        /// More than the requests that are sent at the same time.
        const CONNECTIONS: usize = 256;

        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .max_idle_connections(CONNECTIONS)
            .max_idle_connections_per_host(CONNECTIONS);
        Self { agent: config.build().into(), url: url.trim_end_matches('/').to_owned() }
    }

    /// Posts a body to `/v1/embeddings` and returns the status and the body of the response.
    ///
    /// # Errors
    ///
    /// If there is no response, or its body is not JSON.
    pub fn post(&self, body: &Value) -> Result<(u16, Value)> {
        let mut response = self.agent.post(format!("{}/v1/embeddings", self.url)).send_json(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_json()?))
    }

    /// Returns the embedding of each text.
    ///
    /// # Errors
    ///
    /// If there is no response or it is an error.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let (status, body) = self.post(&json!({ "input": texts }))?;
        ensure!(status == 200, "the service answers {status}: {body}");
        vectors(body)
    }

    /// Returns the value of a metric, summed over its labels.
    ///
    /// # Errors
    ///
    /// If there is no such metric.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let text = self.get("/metrics")?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            if rest.starts_with(['{', ' ']) { rest.rsplit(' ').next() } else { None }
        });
        let values = values.map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        ensure!(!values.is_empty(), "cannot find the metric {name}");
        Ok(values.iter().sum())
    }

    /// Returns the body at `path`.
    ///
    /// # Errors
    ///
    /// If there is no response or it is an error.
    pub fn get(&self, path: &str) -> Result<String> {
        let mut response = self.agent.get(format!("{}{path}", self.url)).call()?;
        ensure!(response.status().is_success(), "the service answers {}", response.status());
        response.body_mut().read_to_string().context("cannot read the response")
    }
}
