//! What is being asked for right now, so that whoever asks the same waits for the same answer.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use futures_util::future::BoxFuture;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::question::are_same;
use super::recording::Recording;
use super::stored::Stored;
use crate::gateway::fault::{Fault, Kind};
use crate::gateway::{Reply, Trip};

/// How a fetch ended, for whoever drove it.
pub(super) enum Landed {
    /// In an answer for this caller alone.
    Alone(Reply),
    Shared(Shared),
}

/// How a fetch ended, for all who waited for it.
#[derive(Clone)]
pub(super) enum Shared {
    /// In a fault, which is everybody's.
    Failed(Fault),
    /// In an answer of this status that is not for them: they have to ask again.
    Other(StatusCode),
    /// In an answer for all.
    Recorded(Arc<Recording>),
    /// In the device's word that what was remembered is still so, and whether it is remembered now.
    Confirmed(Arc<Stored>, bool),
}

impl Landed {
    /// What others than this caller get of it.
    pub(super) fn shared(&self) -> Shared {
        match self {
            Self::Alone(reply) => Shared::Other(reply.status()),
            Self::Shared(shared) => shared.clone(),
        }
    }
}

/// A fetch under way, as one caller has it. Who began it drives it; if they leave and others wait, it goes on in a task
/// of its own, and ends with the last of them.
pub(super) struct Flight {
    pub(super) begun: Instant,
    /// Whether this is who began it.
    pub(super) is_first: bool,
    /// Whether it waits for its turn; known where something could stand in when it began.
    pub(super) waits: Waits,
    course: Course,
    listed: Option<Listed>,
}

/// Where it is told whether a fetch waits for its turn, where that makes a difference.
pub(super) type Waits = Option<Arc<AtomicBool>>;

/// Where others find a fetch, and by which number.
#[derive(Clone)]
pub(super) struct Listed {
    board: Arc<Mutex<Board>>,
    number: u64,
}

enum Course {
    /// As far as it is driven here.
    Driven(BoxFuture<'static, Landed>),
    /// It is driven elsewhere.
    Awaited(watch::Receiver<Option<Shared>>),
    /// Its answer is there, and on its way into memory.
    Known(Shared),
    Over,
}

/// Whoever waits for a fetch that another drives.
pub(super) type Followers = Arc<watch::Sender<Option<Shared>>>;

/// The fetches that may still be joined: the head of their answer is not there yet, or its body is on its way into memory.
#[derive(Default)]
pub(super) struct Flights(Arc<Mutex<Board>>);

/// They are as few as the requests that a device is asked at once, so that looking through them costs less than a hash.
#[derive(Default)]
struct Board {
    aloft: Vec<Aloft>,
    count: u64,
}

struct Aloft {
    number: u64,
    trip: Arc<Trip>,
    begun: Instant,
    epoch: u64,
    waits: Waits,
    followers: Option<Followers>,
    /// Its answer, while that is on its way into memory.
    recording: Option<Weak<Recording>>,
    is_seen_through: bool,
}

/// What whoever asks finds on the board.
pub(super) enum Boarding {
    /// A place in the fetch under way.
    Joined(Flight),
    /// That theirs is the first: others may join it until this is over.
    First(Departure),
}

/// One fetch on the board, until it is taken off: when it lands or is given up.
pub(super) struct Departure(Option<Listed>);

impl Flights {
    /// Joins the fetch under way, or lists one that is about to begin.
    pub(super) fn board(&self, trip: &Arc<Trip>, epoch: u64, begun: Instant, waits: &Waits) -> Boarding {
        let mut board = self.0.lock();
        let aloft = board.aloft.iter_mut().find(|aloft| aloft.epoch == epoch && are_same(&aloft.trip, trip));
        if let Some(aloft) = aloft
            && let Some(course) = aloft.join()
        {
            let listed = Some(Listed { board: Arc::clone(&self.0), number: aloft.number });
            let (begun, waits) = (aloft.begun, aloft.waits.clone());
            return Boarding::Joined(Flight { begun, is_first: false, waits, course, listed });
        }
        board.count += 1;
        let (number, trip) = (board.count, Arc::clone(trip));
        let (followers, recording, is_seen_through) = (None, None, false);
        let waits = waits.clone();
        board.aloft.push(Aloft { number, trip, begun, epoch, waits, followers, recording, is_seen_through });
        Boarding::First(Departure(Some(Listed { board: Arc::clone(&self.0), number })))
    }
}

impl Aloft {
    /// What whoever joins waits for. Nothing: its answer was given up, and it is as good as over.
    fn join(&mut self) -> Option<Course> {
        match &self.recording {
            Some(recording) => recording.upgrade().map(|it| Course::Known(Shared::Recorded(it))),
            None => {
                let followers = self.followers.get_or_insert_with(|| Arc::new(watch::Sender::new(None)));
                Some(Course::Awaited(followers.subscribe()))
            }
        }
    }
}

impl Board {
    fn get(&mut self, number: u64) -> Option<&mut Aloft> {
        self.aloft.iter_mut().find(|aloft| aloft.number == number)
    }

    fn strike(&mut self, number: u64) -> Option<Aloft> {
        let at = self.aloft.iter().position(|aloft| aloft.number == number)?;
        Some(self.aloft.swap_remove(at))
    }
}

/// What is taken off may be the last to know a device, so that it is let go of when nothing is locked.
impl Listed {
    /// Takes it off, and gives who waits for it.
    fn strike(&self) -> Option<Followers> {
        let struck = self.board.lock().strike(self.number);
        struck.and_then(|aloft| aloft.followers)
    }

    /// Takes it off if nobody waits for it; else gives who does.
    fn wanted(&self) -> Option<Followers> {
        let waiting = |followers: &&Followers| followers.receiver_count() > 0;
        let mut board = self.board.lock();
        let aloft = board.get(self.number);
        let followers = aloft.and_then(|aloft| aloft.followers.as_ref()).filter(waiting).cloned();
        let struck = if followers.is_none() { board.strike(self.number) } else { None };
        drop(board);
        drop(struck);
        followers
    }
}

impl Flight {
    /// A fetch that begins here, and where others find it, if they may.
    pub(super) fn begin(
        begun: Instant,
        listed: Option<Listed>,
        waits: Waits,
        flying: BoxFuture<'static, Landed>,
    ) -> Self {
        Self { begun, is_first: true, waits, course: Course::Driven(flying), listed }
    }

    /// Waits for it. Whoever stops waiting may come back.
    pub(super) async fn landed(&mut self) -> Landed {
        let landed = match &mut self.course {
            Course::Driven(flying) => flying.await,
            // Whoever drove it met an error of ours.
            Course::Awaited(landing) => match landing.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(shared)) => Landed::Shared(shared.clone()),
                Ok(None) | Err(_) => Landed::Shared(Shared::Failed(internal())),
            },
            Course::Known(shared) => Landed::Shared(shared.clone()),
            Course::Over => Landed::Shared(Shared::Failed(internal())),
        };
        self.course = Course::Over;
        landed
    }

    /// Its answer may yet turn out to be waited for by nobody, and is to be seen through then.
    pub(super) fn hold(&mut self, recording: &Arc<Recording>) {
        self.course = Course::Known(Shared::Recorded(Arc::clone(recording)));
    }

    /// Its answer is not what is wanted here.
    pub(super) fn let_go(&mut self) {
        self.course = Course::Over;
    }

    /// Whether nobody else has yet seen to it that it goes on without a caller.
    pub(super) fn is_to_be_seen_through(&self) -> bool {
        if matches!(self.course, Course::Over) {
            return false;
        }
        let Some(Listed { board, number }) = &self.listed else { return true };
        let mut board = board.lock();
        board.get(*number).is_some_and(|aloft| !std::mem::replace(&mut aloft.is_seen_through, true))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let Course::Driven(flying) = std::mem::replace(&mut self.course, Course::Over) else { return };
        let Some(listed) = self.listed.take() else { return };
        let Some(followers) = listed.wanted() else { return };
        // Without a runtime everything ends.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(go_on(flying, followers, listed));
        }
    }
}

/// Drives a fetch for as long as somebody waits for it.
async fn go_on(mut flying: BoxFuture<'static, Landed>, followers: Followers, listed: Listed) {
    loop {
        tokio::select! {
            _ = &mut flying => return,
            () = followers.closed() => {}
        }
        if listed.wanted().is_none() {
            return;
        }
    }
}

impl Departure {
    /// Where others find it.
    pub(super) fn listed(&self) -> Option<Listed> {
        self.0.clone()
    }

    /// Its answer is there and will be in memory. Until this is dropped, who asks the same waits for that. Those who have
    /// waited so far are to be told.
    pub(super) fn is_recorded(&self, recording: &Arc<Recording>) -> Option<Followers> {
        let Listed { board, number } = self.0.as_ref()?;
        let mut board = board.lock();
        let aloft = board.get(*number)?;
        aloft.recording = Some(Arc::downgrade(recording));
        aloft.followers.take()
    }

    /// From now on nobody joins. Those who have, and still wait, are to be told.
    pub(super) fn land(mut self) -> Option<Followers> {
        self.strike().filter(|followers| followers.receiver_count() > 0)
    }

    fn strike(&mut self) -> Option<Followers> {
        self.0.take()?.strike()
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        drop(self.strike());
    }
}

pub(super) fn internal() -> Fault {
    Fault::new(Kind::Internal, "an error of keyward's own; the log says where")
}
