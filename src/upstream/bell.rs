//! What wakes whoever drives a connection, and whether there is something to wake them for.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

thread_local! {
    /// The bell of the connection that this thread polls right now.
    static ATTENDED: Cell<*const Bell> = const { Cell::new(ptr::null()) };
}

/// Wakes whoever polls a connection, but not for what they do themselves. Whether it is they who ring is told by the thread:
/// a flag that all threads see would cost each request a dozen locked instructions.
#[derive(Debug, Default)]
pub(super) struct Bell {
    who: AtomicWaker,
    /// Whether it was rung since the connection was polled last.
    rung: AtomicBool,
}

/// As long as this is there, what this thread rings wakes nobody.
struct Attendance {
    before: *const Bell,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        ATTENDED.set(self.before);
    }
}

impl Bell {
    pub(super) fn wakes(&self, waker: &Waker) {
        self.who.register(waker);
    }

    /// What rings in here wakes nobody: it has to be asked afterwards whether it [rang](Self::has_rung).
    pub(super) fn unheard<T>(&self, attended: impl FnOnce() -> T) -> T {
        let _attendance = Attendance { before: ATTENDED.replace(ptr::from_ref(self)) };
        attended()
    }

    pub(super) fn has_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// What has rung so far is about to be seen.
    pub(super) fn acknowledge(&self) {
        self.rung.swap(false, Ordering::Acquire);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order: whoever is woken sees that it rang.
        self.rung.store(true, Ordering::Release);
        if !ptr::eq(ATTENDED.get(), Arc::as_ptr(self)) {
            self.who.wake();
        }
    }
}

/// Whether a socket has something for whoever drives its connection. hyper asks for more whenever it is polled, and rustls
/// until there is no more, and every time is a walk through both and tokio.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Whether nothing was there when it was read last and nothing has come since, and nothing waits to be sent.
    is_quiet: AtomicBool,
    pub(super) bell: Arc<Bell>,
    /// Whether that rings when something comes. If not, whoever reads is woken.
    rings: AtomicBool,
}

impl News {
    /// From now on the bell rings when something comes.
    pub(super) fn ring(&self) {
        self.rings.store(true, Ordering::Relaxed);
        // What comes now wakes whoever read last.
        self.look_again();
    }

    /// From now on whoever reads is woken themselves: every reading is one.
    pub(super) fn go_apart(&self) {
        self.rings.store(false, Ordering::Relaxed);
        self.look_again();
    }

    pub(super) fn rings(&self) -> bool {
        self.rings.load(Ordering::Relaxed)
    }

    /// Whether there is nothing to read, and nothing left to send.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_quiet.load(Ordering::Acquire)
    }

    pub(super) fn nothing_there(&self) {
        self.is_quiet.store(true, Ordering::Relaxed);
    }

    pub(super) fn look_again(&self) {
        self.is_quiet.store(false, Ordering::Release);
    }
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // In this order: whoever is woken reads.
        self.look_again();
        self.bell.wake_by_ref();
    }
}
