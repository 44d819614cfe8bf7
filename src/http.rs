//! HTTP for a few clients that may misbehave: few connections, short heads, one answer each, and slow clients are
//! closed to make room.

mod reply;

pub use reply::{Duplex, EVENT_STREAM, LAST_EVENT_ID, Reply, SERVER_NAME, StreamBody, StreamReply, hung_up, response};

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Mutex, Notify};
use tokio::task::{AbortHandle, JoinHandle, JoinSet, spawn_blocking, spawn_local};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

/// Limits for clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections may be open. A new one replaces the oldest that is not being answered.
    pub connections: usize,
    /// How long a connection may last, unless its answer is a stream.
    pub all_within: Duration,
    /// How many streams may be open, in addition to the connections.
    pub streams: usize,
}

/// Serves until it is dropped, and its streams end with it. `accept` returns the next connection and its context, and
/// `answer` handles a request. Lives in a [`LocalSet`](tokio::task::LocalSet).
pub async fn serve<S, C, A>(limits: Limits, accept: impl AsyncFn() -> io::Result<(S, C)>, answer: A)
where
    S: Duplex + 'static,
    C: Copy + 'static,
    A: AsyncFn(Request<Incoming>, C) -> Reply + 'static,
{
    let connections = Rc::new(Connections::default());
    let mut streams = JoinSet::new();
    let answer = Rc::new(answer);
    loop {
        let accepted = tokio::select! {
            accepted = accept() => accepted,
            (connection, stream) = connections.next_stream() => {
                while streams.try_join_next().is_some() {}
                streams.spawn_local(stream.send(connection));
                connections.streams.set(streams.len());
                continue;
            }
            Some(_) = streams.join_next() => {
                connections.streams.set(streams.len());
                continue;
            }
        };
        match accepted {
            Ok((stream, known)) => {
                connections.make_room(limits.connections).await;
                let stage = Rc::new(Cell::new(ConnectionStage::Waiting { since: Instant::now() }));
                let answer = Rc::clone(&answer);
                let ours = Rc::clone(&connections);
                let answer = async move |request| match answer(request, known).await {
                    Reply::Stream(stream) if ours.streams.get() >= limits.streams => Reply::Whole(stream.busy),
                    reply @ (Reply::Whole(_) | Reply::Stream(_)) => reply,
                };
                let served = serve_one(stream, Rc::clone(&stage), answer);
                Connections::start(&connections, stage, timeout(limits.all_within, served));
            }
            Err(error) => {
                debug!(%error, "no connection can be accepted");
                sleep(AFTER_ACCEPT_ERROR).await;
            }
        }
    }
}

/// Answers the one request of a connection. Returns the connection if the answer is a stream.
async fn serve_one<S: Duplex + 'static>(
    stream: S,
    stage: Rc<Cell<ConnectionStage>>,
    answer: impl AsyncFn(Request<Incoming>) -> Reply + 'static,
) -> Option<Streaming> {
    let answer = Rc::new(answer);
    let streaming = Rc::new(Cell::new(None));
    let found = Rc::clone(&streaming);
    let service = service_fn(move |request| {
        let (answer, stage, found) = (Rc::clone(&answer), Rc::clone(&stage), Rc::clone(&found));
        Box::pin(async move {
            stage.set(ConnectionStage::Answering);
            let reply = answer(request).await;
            stage.set(ConnectionStage::Waiting { since: Instant::now() });
            match reply {
                Reply::Whole(response) => Ok::<_, Infallible>(response),
                // The connection is taken from hyper, which never sees an answer.
                Reply::Stream(stream) => {
                    found.set(Some(stream));
                    pending().await
                }
            }
        })
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    http.max_buf_size(LONGEST_HEAD).keep_alive(false);
    let mut connection = http.serve_connection(TokioIo::new(stream), service);
    let mut stream = None;
    let ended = poll_fn(|cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        stream = streaming.take();
        if stream.is_some() { Poll::Ready(Ok(())) } else { polled }
    });
    if let Err(error) = ended.await {
        debug!(%error, "a connection that was served ended");
    }
    let connection: Box<dyn Duplex> = Box::new(connection.into_parts().io.into_inner());
    stream.map(|stream| (connection, stream))
}

/// A connection, and the stream that answers it.
type Streaming = (Box<dyn Duplex>, StreamReply);

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionStage {
    /// Waits for the client: for the head of its request, or until it has read its answer.
    Waiting {
        /// Since when.
        since: Instant,
    },
    /// The client waits for the answer.
    Answering,
}

/// The state of an open connection, and the handle that closes it.
type OpenConnection = (Rc<Cell<ConnectionStage>>, AbortHandle);

/// The open connections, oldest first.
#[derive(Default)]
struct Connections {
    open: RefCell<BTreeMap<u64, OpenConnection>>,
    last: Cell<u64>,
    closed: Notify,
    /// Those whose stream is about to begin.
    streaming: RefCell<VecDeque<Streaming>>,
    has_stream: Notify,
    /// How many streams there are.
    streams: Cell<usize>,
}

impl Connections {
    /// Waits for room for a new connection. Closes the one that has waited longest for its client, after a grace period.
    async fn make_room(&self, most: usize) {
        while self.open.borrow().len() >= most {
            let waits = |(number, (stage, _)): (&u64, &(Rc<Cell<ConnectionStage>>, AbortHandle))| match stage.get() {
                ConnectionStage::Waiting { since } => Some((since, *number)),
                ConnectionStage::Answering => None,
            };
            let longest = self.open.borrow().iter().filter_map(waits).min();
            let closed = self.closed.notified();
            match longest {
                None => closed.await,
                Some((since, number)) if since.elapsed() >= MOMENT => {
                    if let Some((_, task)) = self.open.borrow_mut().remove(&number) {
                        task.abort();
                    }
                }
                // Checks again when a connection has closed or its grace period is over.
                Some((since, _)) => drop(timeout_at(since + MOMENT, closed).await),
            }
        }
    }

    /// The next connection whose answer is a stream.
    async fn next_stream(&self) -> Streaming {
        loop {
            let next = self.streaming.borrow_mut().pop_front();
            match next {
                Some(streaming) => return streaming,
                None => self.has_stream.notified().await,
            }
        }
    }

    fn start(
        this: &Rc<Self>,
        stage: Rc<Cell<ConnectionStage>>,
        served: impl Future<Output = Result<Option<Streaming>, Elapsed>> + 'static,
    ) {
        let number = this.last.get() + 1;
        this.last.set(number);
        let connections = Rc::clone(this);
        let task = spawn_local(async move {
            // A connection that takes too long is closed like one that has ended.
            if let Ok(Some(streaming)) = served.await {
                connections.streaming.borrow_mut().push_back(streaming);
                connections.has_stream.notify_one();
            }
            connections.open.borrow_mut().remove(&number);
            connections.closed.notify_one();
        });
        this.open.borrow_mut().insert(number, (stage, task.abort_handle()));
    }
}

/// A value that is expensive to compute: computed on another thread, one at a time, and shared by concurrent callers.
#[derive(Debug)]
pub struct SharedResult<T> {
    state: Mutex<Latest<T>>,
}

#[derive(Debug)]
struct Latest<T> {
    value: Option<T>,
    making: Option<JoinHandle<T>>,
}

impl<T> Default for SharedResult<T> {
    fn default() -> Self {
        Self { state: Mutex::new(Latest { value: None, making: None }) }
    }
}

impl<T: Clone + Send + 'static> SharedResult<T> {
    /// Returns the latest value if it is fresh enough, else a new one. `None` if computing it failed.
    pub async fn get(&self, is_fresh: impl Fn(&T) -> bool, make: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let mut state = self.state.lock().await;
        let mut make = Some(make);
        loop {
            if let Some(value) = state.value.as_ref().filter(|value| is_fresh(value)) {
                return Some(value.clone());
            }
            // A computation whose caller gave up is awaited first, so that a slow disk blocks only one thread.
            let making = match state.making.take() {
                Some(making) => making,
                None => spawn_blocking(make.take()?),
            };
            let made = state.making.insert(making).await;
            state.making = None;
            state.value = made.ok();
            if make.is_none() {
                return state.value.clone();
            }
        }
    }
}

/// How long a head, and likewise a body, may take to arrive.
pub const HEAD_WITHIN: Duration = Duration::from_secs(2);
/// The grace period: a connection is not closed for a new one before this.
const MOMENT: Duration = Duration::from_millis(100);
const LONGEST_HEAD: usize = 8 * 1024;
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn what_many_ask_for_is_made_once() {
        let (shared, made) = (SharedResult::default(), Arc::new(AtomicUsize::new(0)));
        let ask = |least: usize| {
            let made = Arc::clone(&made);
            shared.get(move |value: &usize| *value >= least, move || made.fetch_add(1, Ordering::SeqCst) + 1)
        };
        let answers = join_all((0..100).map(|_| ask(1))).await;
        assert!(answers.iter().all(|answer| *answer == Some(1)), "{answers:?}");
        assert_eq!(ask(2).await, Some(2));
        assert_eq!(ask(1).await, Some(2), "a newer one is good as well");
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_made_twice() {
        let (shared, made) = (SharedResult::default(), Arc::new(AtomicUsize::new(0)));
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let counted = Arc::clone(&made);
        let slow = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = wait.recv();
            1
        };
        let gave_up = timeout(Duration::from_millis(50), shared.get(|_: &usize| true, slow)).await;
        assert!(gave_up.is_err());
        for _ in 0..10 {
            let again = shared.get(|_| true, || unreachable!("a second one is made"));
            assert!(timeout(Duration::from_millis(5), again).await.is_err());
        }
        go.send(()).unwrap();
        assert_eq!(shared.get(|_| true, || 2).await, Some(1));
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }
}
