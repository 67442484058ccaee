//! The pending wake-up: whether the transaction of this backend wakes the relays when it commits.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::Relaxed};

use pgrx::prelude::*;

use super::{WAKE, Wake, database, notify, registry};

// Of this process alone, which has one thread: atomic only to be writable.

/// The lowest nesting level of a (sub)transaction that made work for relays; [`NONE`] = none did.
static LEVEL: AtomicI32 = AtomicI32::new(NONE);
const NONE: i32 = i32::MAX;

/// The registry entry to signal after the commit; [`NO_ENTRY`] = none.
static ENTRY: AtomicUsize = AtomicUsize::new(NO_ENTRY);
const NO_ENTRY: usize = usize::MAX;

/// Whether Postgres calls us at the end of transactions: from a backend's first wake-up on, so that backends that never
/// commit work for relays pay nothing.
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Records that the current (sub)transaction made work for relays.
pub(super) fn record() {
    if !REGISTERED.load(Relaxed) {
        // SAFETY: both callbacks are functions of this library, which is never unloaded, and take no argument.
        unsafe {
            pg_sys::RegisterXactCallback(Some(transaction_ends), std::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(subtransaction_ends), std::ptr::null_mut());
        }
        REGISTERED.store(true, Relaxed);
    }
    LEVEL.fetch_min(level(), Relaxed);
}

fn level() -> i32 {
    // SAFETY: reads the state of this backend's transaction.
    unsafe { pg_sys::GetCurrentTransactionNestLevel() }
}

/// Decides before the commit, while an error may still be raised and NOTIFY still works; signals after it, when the work
/// is visible, and when neither an error nor an allocation is allowed: nothing on that path raises, allocates or panics.
///
/// A transaction that is prepared signals nothing, since its COMMIT PREPARED may run in any session, or after a restart,
/// and NOTIFY would make PREPARE fail: the worker and the relays look at the queue every few seconds.
#[pg_guard]
unsafe extern "C-unwind" fn transaction_ends(event: pg_sys::XactEvent::Type, _argument: *mut std::ffi::c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT if LEVEL.load(Relaxed) != NONE => match registry::alive(database()) {
            Some(entry) if WAKE.get() == Wake::Auto => ENTRY.store(entry, Relaxed),
            _ => notify(),
        },
        pg_sys::XactEvent::XACT_EVENT_COMMIT => {
            LEVEL.store(NONE, Relaxed);
            let entry = ENTRY.swap(NO_ENTRY, Relaxed);
            if entry != NO_ENTRY {
                registry::signal(entry);
            }
        }
        pg_sys::XactEvent::XACT_EVENT_ABORT | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            LEVEL.store(NONE, Relaxed);
            ENTRY.store(NO_ENTRY, Relaxed);
        }
        _ => {}
    }
}

/// The pending wake-up of a subtransaction becomes its parent's when it commits, and is dropped when it is rolled back.
#[pg_guard]
unsafe extern "C-unwind" fn subtransaction_ends(
    event: pg_sys::SubXactEvent::Type,
    _own: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut std::ffi::c_void,
) {
    if LEVEL.load(Relaxed) == NONE || LEVEL.load(Relaxed) < level() {
        return;
    }
    match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => LEVEL.store(level() - 1, Relaxed),
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => LEVEL.store(NONE, Relaxed),
        _ => {}
    }
}
