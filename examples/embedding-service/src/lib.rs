//! An HTTP service that computes embeddings: handlers in inference mode, batches of concurrent requests, and workers that share
//! one model.
//!
//! | module | purpose |
//! |---|---|
//! | [`api`] | requests, responses and errors of `POST /v1/embeddings` |
//! | `handlers` | the routes, with `#[inference_mode] async fn embeddings` |
//! | [`queue`] | lets texts wait, forms batches, drops those whose clients left |
//! | [`worker`] | threads that take batches and run the forward pass |
//! | [`model`] | one copy of the weights, opened by each worker |
//! | [`metrics`] | counts for Prometheus, wrong grad modes among them |
//! | [`service`] | puts the parts together, serves, shuts down |
//! | `page` | the web page to try it |
//! | [`log`] | lines on standard error |
//! | [`background`], [`client`] | a service and a client, for tests and the load test |

pub mod api;
pub mod background;
pub mod client;
mod handlers;
pub mod log;
pub mod metrics;
pub mod model;
mod page;
pub mod queue;
pub mod service;
pub mod worker;
