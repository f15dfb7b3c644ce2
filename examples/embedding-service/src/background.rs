//! A service in the background of a program, for tests and the load test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use tokio::runtime;
use tokio::sync::oneshot;

use crate::model::SharedModel;
use crate::service::{Config, Service};

/// A service on a free port of this machine, with its own async runtime.
#[derive(Debug)]
pub struct Background {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Background {
    /// Starts a service.
    ///
    /// # Errors
    ///
    /// As [`Service::start`]; if no port is free.
    pub fn start(model: &Arc<dyn SharedModel>, config: &Config) -> Result<Self> {
        let service = Service::start(model, config)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on a free port")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                // Dropping the sender stops the service too.
                service.serve(listener, async move { stopped.await.unwrap_or_default() }).await
            })
        });
        Ok(Self { address, stop, thread })
    }

    /// Returns the service's address, such as `http://127.0.0.1:40000`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Shuts the service down as SIGTERM does, and waits for it.
    ///
    /// # Errors
    ///
    /// As [`Service::serve`].
    pub fn stop(self) -> Result<()> {
        // The receiver is gone if the service has failed, which `join` tells.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| anyhow!("cannot stop the service: it has panicked"))?
    }
}
