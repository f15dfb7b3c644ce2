//! The queue between handlers and workers, which forms batches.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::metrics::Metrics;
use crate::model::Embedding;

/// When a batch is formed, and how many texts may wait.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// The maximum number of texts in a batch.
    pub max_batch: NonZeroUsize,
    /// How long a text may wait for others.
    pub max_wait: Duration,
    /// The maximum number of texts that wait.
    pub capacity: NonZeroUsize,
}

/// The worker could not embed the batch; the reason is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFailed;

/// The answer that a handler receives for a text.
pub type Answer = Result<Embedding, BatchFailed>;

/// A text that waits, and the way back to its handler.
#[derive(Debug)]
pub struct Item {
    /// The text to embed.
    pub text: String,
    /// Receives the answer. It is closed if the client is gone.
    pub answer: oneshot::Sender<Answer>,
    queued: Instant,
}

/// The reason why the queue refuses texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is not enough space for the texts.
    Full {
        /// The number of texts that wait.
        waiting: usize,
    },
    /// The service is shutting down.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { waiting } => write!(f, "{waiting} texts are waiting and there is no space for these"),
            Self::Closed => f.write_str("the service is shutting down"),
        }
    }
}

/// Texts of all requests, in the order of their arrival. Workers take them in batches, whichever requests they belong to.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    /// Notified when texts arrive, and when the queue is closed.
    changed: Condvar,
    batching: Batching,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Item>,
    open: bool,
}

impl State {
    /// Takes the first text and, of the next, those closest to its length, since a batch is padded to its longest text.
    fn take_batch(&mut self, max_batch: usize) -> Vec<Item> {
        /// How many batches the choice is from: more need less padding, and let some texts wait longer.
        const BATCHES: usize = 2;

        let mut batch = self.items.drain(..self.items.len().min(BATCHES * max_batch)).collect::<Vec<_>>();
        if batch.len() > max_batch {
            let length = batch[0].text.len();
            batch.sort_by_key(|item| item.text.len().abs_diff(length));
            let mut others = batch.split_off(max_batch);
            others.sort_by_key(|item| item.queued);
            others.into_iter().rev().for_each(|item| self.items.push_front(item));
        }
        batch
    }
}

impl Queue {
    /// Makes an empty queue.
    #[must_use]
    pub fn new(batching: Batching, metrics: Arc<Metrics>) -> Self {
        let state = State { items: VecDeque::new(), open: true };
        Self { state: Mutex::new(state), changed: Condvar::new(), batching, metrics }
    }

    /// Adds the texts of a request: all of them or none. To cancel one, drop its receiver.
    ///
    /// # Errors
    ///
    /// If there is no space for all texts, or the queue is closed.
    pub fn push(&self, texts: Vec<String>) -> Result<Vec<oneshot::Receiver<Answer>>, Refused> {
        let mut state = self.lock();
        if !state.open {
            return Err(Refused::Closed);
        }
        if state.items.len() + texts.len() > self.batching.capacity.get() {
            self.drop_cancelled(&mut state);
        }
        let waiting = state.items.len();
        if waiting + texts.len() > self.batching.capacity.get() {
            return Err(Refused::Full { waiting });
        }
        let queued = Instant::now();
        let receivers = texts.into_iter().map(|text| {
            let (answer, receiver) = oneshot::channel();
            state.items.push_back(Item { text, answer, queued });
            receiver
        });
        let receivers = receivers.collect();
        self.metrics.set_queued(state.items.len());
        drop(state);
        self.changed.notify_all();
        Ok(receivers)
    }

    /// Waits for a batch: as many texts as it may have, or fewer when the first has waited long enough. Returns `None` when the
    /// queue is closed and empty.
    pub fn next_batch(&self) -> Option<Vec<Item>> {
        let max_batch = self.batching.max_batch.get();
        let mut state = self.lock();
        loop {
            self.drop_cancelled(&mut state);
            let Some(first) = state.items.front() else {
                if !state.open {
                    return None;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = self.batching.max_wait.saturating_sub(first.queued.elapsed());
            if state.items.len() >= max_batch || left.is_zero() || !state.open {
                let batch = state.take_batch(max_batch);
                self.metrics.set_queued(state.items.len());
                return Some(batch);
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Refuses further texts. Workers end when they have answered those that wait.
    pub fn close(&self) {
        self.lock().open = false;
        self.changed.notify_all();
    }

    /// Removes texts whose clients are gone, so that no worker embeds them.
    fn drop_cancelled(&self, state: &mut State) {
        let before = state.items.len();
        state.items.retain(|item| !item.answer.is_closed());
        self.metrics.add_cancelled(before - state.items.len());
        self.metrics.set_queued(state.items.len());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the state is half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
