//! Serves the search to editors and agents: the Model Context Protocol on standard input and output.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use clap::ValueEnum;
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::output::{Answer, answers, report};
use crate::rank::Ranking;
use crate::session::Session;
use crate::shard::Shard;
use crate::update::Progress;
use crate::watch::Watch;

const DEFAULT_TOP: usize = 5;
const MAX_TOP: usize = 50;

/// The arguments of the tool `search`.
#[derive(Debug, Deserialize, JsonSchema)]
struct SearchArguments {
    /// The text to search for, in plain words or as code.
    query: String,
    /// The number of passages to return, from 1 to 50; 5 by default.
    top: Option<usize>,
    /// How passages are ranked: `hybrid` (the default), `vectors` or `words`.
    ranking: Option<String>,
}

/// The result of the tool `search`.
#[derive(Debug, Serialize, JsonSchema)]
struct SearchResult {
    /// The passages, best first.
    results: Vec<Answer>,
}

/// The result of the tool `index_status`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Status {
    /// `indexing`, `ready` or `failed`.
    state: State,
    /// The error of the last update, or an empty text.
    error: String,
    /// Files that are done, of those that may have changed, while indexing.
    done: usize,
    /// Files that may have changed, while indexing.
    total: usize,
    /// Files in the index.
    files: usize,
    /// Passages in the index.
    passages: usize,
    /// The trees that are searched.
    trees: Vec<String>,
    /// The backend that computes embeddings, and its device.
    backend: String,
    /// Whether the index follows changes of the files.
    watching: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Indexing,
    Ready,
    Failed,
}

enum Request {
    Search { query: String, top: usize, ranking: Ranking, reply: oneshot::Sender<Result<Vec<Answer>>> },
    Update,
}

/// The tools of the server. The session lives on a thread of its own, since arrays do not leave theirs.
#[derive(Clone)]
struct Server {
    requests: Sender<Request>,
    status: Arc<Mutex<Status>>,
}

#[tool_router]
impl Server {
    /// Finds passages of the indexed source trees by meaning and by words. Returns paths, lines and texts, best first.
    #[tool(name = "search")]
    async fn search(
        &self,
        Parameters(arguments): Parameters<SearchArguments>,
    ) -> Result<Json<SearchResult>, String> {
        let SearchArguments { query, top, ranking } = arguments;
        if query.trim().is_empty() {
            return Err("cannot search: the query is empty; name what to look for".into());
        }
        let top = top.unwrap_or(DEFAULT_TOP);
        if !(1..=MAX_TOP).contains(&top) {
            return Err(format!("cannot return {top} passages: `top` is from 1 to {MAX_TOP}"));
        }
        let ranking = ranking.as_deref().unwrap_or("hybrid");
        let ranking = Ranking::from_str(ranking, false)
            .map_err(|_| format!("cannot rank by {ranking:?}: use hybrid, vectors or words"))?;
        let status = lock(&self.status).clone();
        match status.state {
            State::Failed => return Err(status.error),
            State::Indexing if status.passages == 0 => {
                let Status { done, total, .. } = status;
                return Err(format!(
                    "cannot search yet: {done} of {total} files are indexed; call index_status and search again"
                ));
            }
            State::Indexing | State::Ready => {}
        }
        let (reply, answers) = oneshot::channel();
        let stopped = || "cannot search: the server is stopping".to_owned();
        self.requests.send(Request::Search { query, top, ranking, reply }).map_err(|_| stopped())?;
        let results = answers.await.map_err(|_| stopped())?.map_err(|error| format!("{error:#}"))?;
        Ok(Json(SearchResult { results }))
    }

    /// Returns whether the index is complete, and the numbers of its files and passages.
    #[tool(name = "index_status")]
    async fn index_status(&self) -> Json<Status> {
        Json(lock(&self.status).clone())
    }
}

#[tool_handler]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("code-search", env!("CARGO_PKG_VERSION")))
            .with_instructions("Searches the source trees of this project by meaning and by words.")
    }
}

/// Serves until standard input is closed. `open` opens the session, on the thread that will use it; while it updates the index, it
/// calls its argument.
///
/// # Errors
///
/// If the protocol fails. A session that cannot be opened is reported by the tools.
pub fn serve(
    open: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<(Session, Option<Watch>)> + Send + 'static,
) -> Result<()> {
    let status = Arc::new(Mutex::new(Status {
        state: State::Indexing,
        error: String::new(),
        done: 0,
        total: 0,
        files: 0,
        passages: 0,
        trees: Vec::new(),
        backend: String::new(),
        watching: false,
    }));
    let (requests, received) = mpsc::channel();
    let server = Server { requests: requests.clone(), status: Arc::clone(&status) };
    // The thread ends with the process: an update that is cut off loses nothing.
    thread::Builder::new().name("session".into()).spawn(move || {
        if let Err(error) = answer(open, &requests, &received, &status) {
            let error = format!("{error:#}");
            report(&error);
            let mut status = lock(&status);
            (status.state, status.error) = (State::Failed, error);
        }
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let service = server.serve(rmcp::transport::stdio()).await.context("cannot serve the protocol")?;
        service.waiting().await.context("cannot serve the protocol any longer")?;
        Ok(())
    })
}

/// Opens the session and handles requests.
fn answer(
    open: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<(Session, Option<Watch>)>,
    requests: &Sender<Request>,
    received: &Receiver<Request>,
    status: &Mutex<Status>,
) -> Result<()> {
    let mut progress = |progress: Progress| {
        let mut status = lock(status);
        (status.done, status.total) = (progress.done, progress.total);
    };
    let (mut session, watch) = open(&mut progress)?;
    {
        let mut status = lock(status);
        session.backend().clone_into(&mut status.backend);
        status.trees = session.trees().iter().map(|tree| tree.given.display().to_string()).collect();
        status.watching = watch.is_some();
    }
    set_ready(&mut session, status)?;
    if let Some(watch) = watch {
        let requests = requests.clone();
        // The first update finds changes between the opening of the session and the beginning of the watch.
        thread::Builder::new()
            .name("watch".into())
            .spawn(move || while requests.send(Request::Update).is_ok() && watch.wait() {})?;
    }
    for request in received {
        match request {
            Request::Search { query, top, ranking, reply } => {
                // The receiver is gone if the client has cancelled the request.
                let _ = reply.send(search(&mut session, &query, top, ranking));
            }
            Request::Update => {
                lock(status).state = State::Indexing;
                let updated = session.update(Shard::ALL, &mut progress, &mut report);
                // An update that fails now, for example in the middle of a checkout, may succeed after the next change.
                if let Err(error) = updated.and_then(|_| set_ready(&mut session, status)) {
                    let error = format!("{error:#}");
                    report(&error);
                    let mut status = lock(status);
                    (status.state, status.error) = (State::Ready, error);
                }
            }
        }
    }
    Ok(())
}

fn set_ready(session: &mut Session, status: &Mutex<Status>) -> Result<()> {
    let counts = session.counts()?;
    let mut status = lock(status);
    (status.state, status.error) = (State::Ready, String::new());
    (status.files, status.passages) = (counts.files, counts.passages);
    Ok(())
}

fn search(session: &mut Session, query: &str, top: usize, ranking: Ranking) -> Result<Vec<Answer>> {
    let hits = session.search(query, top, ranking, &mut report)?;
    Ok(answers(hits.iter().map(|hit| (hit, session.tree_of(hit)))))
}

fn lock(status: &Mutex<Status>) -> MutexGuard<'_, Status> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
