//! The body of an answer for several, or for later: read once, played to each.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::semantics::{Varied, length};
use super::{MOST, Told};
use crate::upstream::{Inbound, Trouble};

/// An answer of which the body is being read for whoever wants it.
pub(super) struct Recording {
    pub(super) told: Arc<Told>,
    pub(super) varied: Varied,
    /// Whether it may be remembered, so that one waits for its end to say so.
    pub(super) is_kept: bool,
    tape: Arc<Mutex<Tape>>,
    /// Whether somebody has the right to what comes after the tape.
    is_rest_promised: AtomicBool,
    /// Reading ends when nobody is left who wants it.
    _audience: DropGuard,
}

struct Tape {
    pieces: Vec<Bytes>,
    length: usize,
    course: Course,
    waiting: Vec<Waker>,
}

/// How far reading has come.
enum Course {
    /// It goes on.
    Running,
    /// To the end: the body in one piece, and whether it is remembered.
    Whole(Bytes, bool),
    /// To more than is held for several; one may have the rest.
    TooLong(Option<Box<Inbound>>),
    /// The device broke off.
    Broken(Trouble),
}

/// What reading has come to, once it has.
pub(super) enum Settled {
    Whole(Bytes, bool),
    TooLong,
    Broken(Trouble),
}

impl Recording {
    /// Reads this body in a task of its own. At its end `keep` is asked whether it is to be remembered, and does it.
    pub(super) fn begin(
        told: Arc<Told>,
        varied: Varied,
        body: Inbound,
        keep: Option<impl FnOnce(&Bytes) -> bool + Send + 'static>,
    ) -> Arc<Self> {
        let tape = Tape { pieces: Vec::new(), length: 0, course: Course::Running, waiting: Vec::new() };
        let tape = Arc::new(Mutex::new(tape));
        let nobody_left = CancellationToken::new();
        let recording = Self {
            told,
            varied,
            is_kept: keep.is_some(),
            tape: Arc::clone(&tape),
            is_rest_promised: AtomicBool::new(false),
            _audience: nobody_left.clone().drop_guard(),
        };
        tokio::spawn(async move { nobody_left.run_until_cancelled(read(&tape, body, keep)).await });
        Arc::new(recording)
    }

    /// Whether it is known how long it is, which is not longer than the tape.
    pub(super) fn has_length(&self) -> bool {
        self.length().is_some()
    }

    fn length(&self) -> Option<u64> {
        match self.told.status {
            // Whatever they say of a length is not theirs (RFC 9110 section 6.4.1).
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Some(0),
            _ => length(&self.told.headers),
        }
    }

    /// The body as it comes in. If it may turn out longer than the tape, for one listener at a time.
    pub(super) fn play(self: &Arc<Self>) -> Option<Playback> {
        let has_rest = !self.is_rest_promised.swap(true, Ordering::Relaxed);
        let playback = || Playback { recording: Arc::clone(self), next: 0, has_rest, rest: None };
        (has_rest || self.has_length()).then(playback)
    }

    /// Waits for the end of it, or until it turns out too long.
    pub(super) async fn settled(&self) -> Settled {
        poll_fn(|context| {
            let mut tape = self.tape.lock();
            match &tape.course {
                Course::Running => tape.wait(context),
                Course::Whole(body, is_stored) => Poll::Ready(Settled::Whole(body.clone(), *is_stored)),
                Course::TooLong(_) => Poll::Ready(Settled::TooLong),
                Course::Broken(trouble) => Poll::Ready(Settled::Broken(trouble.clone())),
            }
        })
        .await
    }
}

impl Tape {
    fn wait<T>(&mut self, context: &Context<'_>) -> Poll<T> {
        if !self.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            self.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// Nobody waits for one who reads no more, whatever the reason.
struct Reading<'a>(&'a Mutex<Tape>);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut tape = self.0.lock();
        if matches!(tape.course, Course::Running) {
            tape.course = Course::Broken(Trouble::BrokeOff("the answer was not read to its end".to_owned()));
            tape.wake();
        }
    }
}

async fn read(tape: &Mutex<Tape>, mut body: Inbound, keep: Option<impl FnOnce(&Bytes) -> bool>) {
    let _reading = Reading(tape);
    let course = loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                // Who takes part in this has not asked for trailers.
                let Ok(piece) = frame.into_data() else { continue };
                let mut tape = tape.lock();
                tape.length += piece.len();
                tape.pieces.push(piece);
                if tape.length > MOST {
                    break Course::TooLong(Some(Box::new(body)));
                }
                tape.wake();
            }
            Some(Err(trouble)) => break Course::Broken(trouble),
            None => {
                let whole = joined(&tape.lock().pieces);
                let is_stored = keep.is_some_and(|keep| keep(&whole));
                break Course::Whole(whole, is_stored);
            }
        }
    };
    let mut tape = tape.lock();
    tape.course = course;
    tape.wake();
}

fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [] => Bytes::new(),
        [piece] => piece.clone(),
        pieces => {
            let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
            pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
            whole.freeze()
        }
    }
}

/// A recording as one listener hears it.
pub(in crate::gateway) struct Playback {
    recording: Arc<Recording>,
    next: usize,
    /// Whether what comes after the tape is for this listener.
    has_rest: bool,
    rest: Option<Box<Inbound>>,
}

impl Drop for Playback {
    fn drop(&mut self) {
        if self.has_rest && self.rest.is_none() {
            self.recording.is_rest_promised.store(false, Ordering::Relaxed);
        }
    }
}

impl Body for Playback {
    type Data = Bytes;
    type Error = Trouble;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        let this = &mut *self;
        if let Some(rest) = &mut this.rest {
            return Pin::new(rest).poll_frame(context);
        }
        let mut tape = this.recording.tape.lock();
        if let Some(piece) = tape.pieces.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        match &mut tape.course {
            Course::Running => tape.wait(context),
            Course::Whole(..) => Poll::Ready(None),
            Course::Broken(trouble) => Poll::Ready(Some(Err(trouble.clone()))),
            Course::TooLong(rest) => match if this.has_rest { rest.take() } else { None } {
                Some(rest) => Pin::new(this.rest.insert(rest)).poll_frame(context),
                // It is another's, which cannot be where lengths are what they are said to be.
                None => Poll::Ready(Some(Err(Trouble::BrokeOff(
                    "the answer is too long to be shared".to_owned(),
                )))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.recording.length() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.recording.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
