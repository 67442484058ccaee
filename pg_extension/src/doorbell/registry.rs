//! The registry in shared memory: which databases have a worker, and what has been signalled to it.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgAtomic, PgLwLock};

/// Databases of a cluster that can be registered at the same time. The others use NOTIFY.
const CAPACITY: usize = 64;

/// How long a worker may take to start, in microseconds: a second start for its database is not tried earlier, and until
/// then its entry is kept.
const START_TIMEOUT: i64 = 1_000_000;

/// The entry of one database.
#[derive(Default)]
pub(super) struct Entry {
    /// Its oid; 0 = the entry is free.
    database: AtomicU32,
    /// When a worker was last asked for, in microseconds of Postgres' own clock.
    start_requested_at: AtomicI64,
    /// The latch of the worker; null = none is alive. It lies in the server's shared memory and stays valid when its
    /// owner is gone; at worst another process wakes up without need.
    latch: AtomicPtr<pg_sys::Latch>,
    /// A commit has signalled since the worker last took the signal.
    signalled: AtomicBool,
}

pub(super) struct Registry([Entry; CAPACITY]);

impl Default for Registry {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Entry::default()))
    }
}

// SAFETY: it consists of atomics, which processes may share; its pointers point into memory that is mapped at the same
// address in all of them.
unsafe impl PGRXSharedMemory for Registry {}

// SAFETY: no other library uses this name.
pub(super) static REGISTRY: PgAtomic<Registry> = unsafe { PgAtomic::new(c"pfa_sync_registry") };

/// Held while an entry is given to a database or a worker registers, so that each database has one of both.
// SAFETY: no other library uses this name.
pub(super) static REGISTRY_LOCK: PgLwLock<bool> = unsafe { PgLwLock::new(c"pfa_sync_registry_lock") };

/// Whether the registry exists in this server. Set while it starts, and inherited by every backend.
static ENABLED: AtomicBool = AtomicBool::new(false);

pub(super) fn enable() {
    ENABLED.store(true, Relaxed);
}

fn entries() -> &'static [Entry] {
    if ENABLED.load(Relaxed) { &REGISTRY.get().0 } else { &[] }
}

fn find(database: u32) -> Option<usize> {
    entries().iter().position(|entry| entry.database.load(Relaxed) == database)
}

/// The index of a database's entry, if its worker is alive.
pub(super) fn alive(database: u32) -> Option<usize> {
    find(database).filter(|&entry| !entries()[entry].latch.load(SeqCst).is_null())
}

/// Signals the worker of an entry, unless another session has done so already. Neither raises, allocates nor panics,
/// since it runs after a commit.
pub(super) fn signal(entry: usize) {
    let Some(entry) = entries().get(entry) else { return };
    if entry.signalled.load(SeqCst) || entry.signalled.swap(true, SeqCst) {
        return;
    }
    let latch = entry.latch.load(SeqCst);
    if !latch.is_null() {
        // SAFETY: a latch in shared memory (see Entry::latch). Setting one takes no lock and raises no error.
        unsafe { pg_sys::SetLatch(latch) };
    }
}

/// Whether the caller is to start a worker: none is alive, and no other session has just tried. Gives the database an
/// entry if it has none and one is free.
pub(super) fn wants_worker(database: u32) -> bool {
    if entries().is_empty() || alive(database).is_some() {
        return false;
    }
    let now = now();
    let is_starting = |entry: &Entry| now - entry.start_requested_at.load(Relaxed) < START_TIMEOUT;
    if find(database).is_some_and(|entry| is_starting(&entries()[entry])) {
        return false;
    }
    let _lock = REGISTRY_LOCK.exclusive();
    let free = || entries().iter().position(|entry| entry.latch.load(SeqCst).is_null() && !is_starting(entry));
    let Some(entry) = find(database).or_else(free).map(|entry| &entries()[entry]) else {
        return false;
    };
    if !entry.latch.load(SeqCst).is_null() || (entry.database.load(Relaxed) == database && is_starting(entry)) {
        return false;
    }
    if entry.database.swap(database, Relaxed) != database {
        entry.signalled.store(false, SeqCst);
    }
    entry.start_requested_at.store(now, Relaxed);
    true
}

/// Registers this process as the worker of its database. `None` if the database has no entry, or another worker.
pub(super) fn register(database: u32) -> Option<&'static Entry> {
    let _lock = REGISTRY_LOCK.exclusive();
    let entry = &entries()[find(database)?];
    // SAFETY: reads a variable of this process: its own latch, in shared memory.
    let latch = unsafe { pg_sys::MyLatch };
    entry.latch.compare_exchange(std::ptr::null_mut(), latch, SeqCst, SeqCst).ok().map(|_| entry)
}

impl Entry {
    /// Takes the signal: whether a commit has signalled since the last call.
    pub(super) fn take_signal(&self) -> bool {
        self.signalled.swap(false, SeqCst)
    }

    /// Withdraws this process's latch. A signal that is sent from here on is taken by the next worker.
    pub(super) fn unregister(&self) {
        // SAFETY: reads a variable of this process.
        let latch = unsafe { pg_sys::MyLatch };
        let _ = self.latch.compare_exchange(latch, std::ptr::null_mut(), SeqCst, SeqCst);
    }
}

fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
