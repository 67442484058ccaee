//! The background worker of a database: passes rings on as NOTIFY.
//!
//! It is started by the first commit that finds none, and never by the server: one that the server restarts would be
//! started over and over for a database that was dropped. It leaves as soon as it stands in somebody's way.

use std::time::{Duration, Instant};

use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, DynamicBackgroundWorkerLoadError, SignalWakeFlags,
};
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::prelude::*;

use super::{INTERVAL, bells, bells::Bell, database, notify};

/// How often it sees whether it is still wanted. Whoever drops, renames or copies a database waits 5 s for its sessions
/// to end.
const TICK: Duration = Duration::from_secs(1);

/// How often it looks at the queue without a ring.
const LOOK: Duration = Duration::from_secs(10);

/// A worker has no place in a template, since a session there keeps it from being copied, nor where the extension is not.
const WANTED: &str = "select datallowconn and not datistemplate \
    and exists (select from pg_catalog.pg_extension where extname operator(pg_catalog.=) 'pfa_sync') \
    from pg_catalog.pg_database where datname operator(pg_catalog.=) pg_catalog.current_database()";

/// A notification is nothing to wait for the disk for, and whoever made a database's search_path is not to be trusted.
const SESSION: &str = "set synchronous_commit = off; set search_path = pg_catalog, pg_temp";

/// Whether this database may have a worker.
pub(super) fn wanted() -> bool {
    one(WANTED)
}

/// Asks the server to start this database's worker.
pub(super) fn start(database: u32) -> Result<(), DynamicBackgroundWorkerLoadError> {
    BackgroundWorkerBuilder::new("pfa_sync doorbell")
        .set_type("pfa_sync doorbell")
        .set_library("pfa_sync")
        .set_function("pfa_sync_doorbell")
        .set_argument(pg_sys::Oid::from_u32(database).into_datum())
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(None)
        .enable_spi_access()
        .load_dynamic()
        .map(|_| ())
}

/// The worker's main function; its argument is the database's oid.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pfa_sync_doorbell(argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    // SAFETY: the argument that start() set.
    let oid = unsafe { pg_sys::Oid::from_datum(argument, false) };
    BackgroundWorker::connect_worker_to_spi_by_oid(oid, None);
    let Some(bell) = bells::take_place(database()) else {
        return;
    };
    // SAFETY: the callback is a function of this library, and its argument a bell in shared memory: both outlive us.
    unsafe { pg_sys::before_shmem_exit(Some(leave), pg_sys::Datum::from(std::ptr::from_ref(bell))) };
    BackgroundWorker::transaction(|| Spi::run(SESSION).unwrap_or_report());
    serve(bell);
    bell.leave();
    if bell.answer() {
        BackgroundWorker::transaction(notify);
    }
}

/// Passes rings on until it is told to stop or no longer wanted.
fn serve(bell: &Bell) {
    // Somebody may have rung while no worker was there.
    BackgroundWorker::transaction(notify);
    let (mut notified, mut ticked, mut looked) = (Instant::now(), Instant::now(), Instant::now());
    loop {
        let interval = Duration::from_millis(INTERVAL.get().unsigned_abs().into());
        let pause = interval.saturating_sub(notified.elapsed());
        if pause.is_zero() && bell.answer() {
            BackgroundWorker::transaction(notify);
            notified = Instant::now();
            continue;
        }
        // A ring within the interval sets the latch too: it must not make us spin until the interval is over.
        let nap = if pause.is_zero() { TICK.saturating_sub(ticked.elapsed()) } else { pause };
        if !BackgroundWorker::wait_latch(Some(nap.max(Duration::from_millis(1)))) {
            return;
        }
        if BackgroundWorker::sighup_received() {
            // SAFETY: between transactions, as the server's own processes do.
            unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        }
        if ticked.elapsed() >= TICK {
            ticked = Instant::now();
            if !BackgroundWorker::transaction(|| undisturbed() && wanted()) {
                return;
            }
            // Right after we saw that the extension is there.
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                if BackgroundWorker::transaction(|| one("select pfa_sync_private.has_due_work()")) {
                    BackgroundWorker::transaction(notify);
                }
            }
        }
    }
}

/// Whether nobody is about to drop, rename or copy this database: they hold its lock, and wait for its sessions to end.
fn undisturbed() -> bool {
    let tag = pg_sys::LOCKTAG {
        locktag_field1: 0,
        locktag_field2: pg_sys::DatabaseRelationId.to_u32(),
        locktag_field3: database(),
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
        locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
    };
    // SAFETY: a valid tag; the lock is a session's usual one, is not waited for, and goes with the transaction.
    let got = unsafe { pg_sys::LockAcquire(&tag, pg_sys::RowExclusiveLock as i32, false, true) };
    got != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// A truth that SQL tells; null is none.
fn one(query: &str) -> bool {
    Spi::get_one(query).unwrap_or_report().unwrap_or(false)
}

#[pg_guard]
unsafe extern "C-unwind" fn leave(_code: std::ffi::c_int, bell: pg_sys::Datum) {
    // SAFETY: the bell that pfa_sync_doorbell() handed over, in shared memory.
    unsafe { &*bell.cast_mut_ptr::<Bell>() }.leave();
}
