//! The bells in shared memory.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgAtomic, PgLwLock};

/// Databases of a cluster that can have a bell at the same time. Those beyond use NOTIFY.
const COUNT: usize = 64;

/// How long a worker may take to start, in microseconds: the next try for its database comes no earlier, and until then
/// its bell is kept for it.
const TRY: i64 = 1_000_000;

/// The bell of one database.
#[derive(Default)]
pub(super) struct Bell {
    /// Its oid; 0 = of none yet.
    database: AtomicU32,
    /// When a worker was last asked for, in microseconds of Postgres' own clock.
    tried: AtomicI64,
    /// The latch of the worker; null = none is alive. It lies in the server's shared memory and stays valid when its
    /// owner is gone; at worst it wakes another process for nothing.
    latch: AtomicPtr<pg_sys::Latch>,
    /// Somebody rang since the worker last looked.
    rung: AtomicBool,
}

pub(super) struct Bells([Bell; COUNT]);

impl Default for Bells {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Bell::default()))
    }
}

// SAFETY: it consists of atomics, which processes may share; its pointers point into memory that is mapped at the same
// address in all of them.
unsafe impl PGRXSharedMemory for Bells {}

// SAFETY: no other library uses this name.
pub(super) static BELLS: PgAtomic<Bells> = unsafe { PgAtomic::new(c"pfa_sync_bells") };

/// Held while a bell is given to a database or a worker takes its place, so that there is one of each.
// SAFETY: no other library uses this name.
pub(super) static DOOR: PgLwLock<bool> = unsafe { PgLwLock::new(c"pfa_sync_door") };

/// Whether there are bells in this server. Set while it starts, and inherited by every backend.
static HUNG: AtomicBool = AtomicBool::new(false);

pub(super) fn hang() {
    HUNG.store(true, Relaxed);
}

fn bells() -> &'static [Bell] {
    if HUNG.load(Relaxed) { &BELLS.get().0 } else { &[] }
}

fn find(database: u32) -> Option<usize> {
    bells().iter().position(|bell| bell.database.load(Relaxed) == database)
}

/// The bell of a database whose worker is alive.
pub(super) fn alive(database: u32) -> Option<usize> {
    find(database).filter(|&bell| !bells()[bell].latch.load(SeqCst).is_null())
}

/// Rings: the worker wakes, unless somebody else has woken it already. Neither raises, allocates nor panics, since it runs
/// after a commit.
pub(super) fn ring(bell: usize) {
    let Some(bell) = bells().get(bell) else { return };
    if bell.rung.load(SeqCst) || bell.rung.swap(true, SeqCst) {
        return;
    }
    let latch = bell.latch.load(SeqCst);
    if !latch.is_null() {
        // SAFETY: a latch in shared memory (see Bell::latch). Setting one takes no lock and raises no error.
        unsafe { pg_sys::SetLatch(latch) };
    }
}

/// Whether it is for the caller to start a worker: none is alive, and nobody else tried just now. Gives the database a
/// bell if it has none and one is free.
pub(super) fn wants_worker(database: u32) -> bool {
    if bells().is_empty() || alive(database).is_some() {
        return false;
    }
    let now = now();
    let waits = |bell: &Bell| now - bell.tried.load(Relaxed) < TRY;
    if find(database).is_some_and(|bell| waits(&bells()[bell])) {
        return false;
    }
    let _door = DOOR.exclusive();
    let free = || bells().iter().position(|bell| bell.latch.load(SeqCst).is_null() && !waits(bell));
    let Some(bell) = find(database).or_else(free).map(|bell| &bells()[bell]) else {
        return false;
    };
    if !bell.latch.load(SeqCst).is_null() || (bell.database.load(Relaxed) == database && waits(bell)) {
        return false;
    }
    if bell.database.swap(database, Relaxed) != database {
        bell.rung.store(false, SeqCst);
    }
    bell.tried.store(now, Relaxed);
    true
}

/// Puts this process's latch to the bell of its database. `None` if the database has no bell, or another worker.
pub(super) fn take_place(database: u32) -> Option<&'static Bell> {
    let _door = DOOR.exclusive();
    let bell = &bells()[find(database)?];
    // SAFETY: reads a variable of this process: its own latch, in shared memory.
    let latch = unsafe { pg_sys::MyLatch };
    bell.latch.compare_exchange(std::ptr::null_mut(), latch, SeqCst, SeqCst).ok().map(|_| bell)
}

impl Bell {
    /// Whether it rang since the last call.
    pub(super) fn answer(&self) -> bool {
        self.rung.swap(false, SeqCst)
    }

    /// Takes this process's latch away. Who rings from here on is heard by the next worker.
    pub(super) fn leave(&self) {
        // SAFETY: reads a variable of this process.
        let latch = unsafe { pg_sys::MyLatch };
        let _ = self.latch.compare_exchange(latch, std::ptr::null_mut(), SeqCst, SeqCst);
    }
}

fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
