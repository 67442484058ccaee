//! What the transaction of this backend has to ring for when it commits.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering::Relaxed};

use pgrx::prelude::*;

use super::{WAKE, Wake, bells, database, notify};

// Of this process alone, which has one thread: atomic only to be writable.

/// The lowest nesting level of a (sub)transaction that has work for relays; [`NOTHING`] = none has.
static LEVEL: AtomicI32 = AtomicI32::new(NOTHING);
const NOTHING: i32 = i32::MAX;

/// The bell to ring after the commit; [`NO_BELL`] = none.
static BELL: AtomicUsize = AtomicUsize::new(NO_BELL);
const NO_BELL: usize = usize::MAX;

/// Whether Postgres calls us at the end of transactions. It does from a backend's first note on, so that those that
/// never commit work for relays pay nothing.
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// Notes that the current (sub)transaction has work for relays.
pub(super) fn take() {
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

/// Decides before the commit, while an error may still be raised and NOTIFY still works; rings after it, when the work
/// can be seen, and when neither an error nor an allocation is allowed: nothing on that way raises, allocates or panics.
///
/// A transaction that is prepared rings nothing, since its COMMIT PREPARED may run in any session, or after a restart,
/// and NOTIFY would not let it be prepared: the worker looks at the queue now and then, and relays do.
#[pg_guard]
unsafe extern "C-unwind" fn transaction_ends(event: pg_sys::XactEvent::Type, _argument: *mut std::ffi::c_void) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT if LEVEL.load(Relaxed) != NOTHING => match bells::alive(database()) {
            Some(bell) if WAKE.get() == Wake::Auto => BELL.store(bell, Relaxed),
            _ => notify(),
        },
        pg_sys::XactEvent::XACT_EVENT_COMMIT => {
            LEVEL.store(NOTHING, Relaxed);
            let bell = BELL.swap(NO_BELL, Relaxed);
            if bell != NO_BELL {
                bells::ring(bell);
            }
        }
        pg_sys::XactEvent::XACT_EVENT_ABORT | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            LEVEL.store(NOTHING, Relaxed);
            BELL.store(NO_BELL, Relaxed);
        }
        _ => {}
    }
}

/// What a subtransaction noted is its parent's when it ends well, and nobody's when it is rolled back.
#[pg_guard]
unsafe extern "C-unwind" fn subtransaction_ends(
    event: pg_sys::SubXactEvent::Type,
    _own: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut std::ffi::c_void,
) {
    if LEVEL.load(Relaxed) == NOTHING || LEVEL.load(Relaxed) < level() {
        return;
    }
    match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => LEVEL.store(level() - 1, Relaxed),
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => LEVEL.store(NOTHING, Relaxed),
        _ => {}
    }
}
