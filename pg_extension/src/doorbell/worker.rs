//! The background worker of a database: passes signals on as NOTIFY.
//!
//! The first commit that finds none starts it; the server never does, since it would restart the worker of a dropped
//! database for ever. The worker ends as soon as it would block a session that drops, renames or copies the database.

use std::time::{Duration, Instant};

use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, DynamicBackgroundWorkerLoadError, SignalWakeFlags,
};
use pgrx::pg_sys::panic::ErrorReportable;
use pgrx::prelude::*;

use super::{INTERVAL, database, notify, registry, registry::Entry};

/// How often the worker checks whether it is still wanted. A session that drops, renames or copies a database waits 5 s
/// for the other sessions to end.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How often it looks at the queue without a signal.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// A template has no worker, since a session there prevents copies, and neither has a database without the extension.
const WANTED: &str = "select datallowconn and not datistemplate \
    and exists (select from pg_catalog.pg_extension where extname operator(pg_catalog.=) 'pfa_sync') \
    from pg_catalog.pg_database where datname operator(pg_catalog.=) pg_catalog.current_database()";

/// A notification need not wait for the disk, and the database's own search_path is not trusted.
const SESSION: &str = "set synchronous_commit = off; set search_path = pg_catalog, pg_temp";

/// The role that owns the extension's functions.
const OWNER: &str = "select oid from pg_catalog.pg_roles where rolname operator(pg_catalog.=) 'pfa_sync_owner'";

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
    let Some(entry) = registry::register(database()) else {
        return;
    };
    // SAFETY: the callback is a function of this library, and its argument lies in shared memory: both outlive the worker.
    unsafe { pg_sys::before_shmem_exit(Some(unregister), pg_sys::Datum::from(std::ptr::from_ref(entry))) };
    let owner = BackgroundWorker::transaction(|| {
        Spi::run(SESSION).unwrap_or_report();
        Spi::get_one::<pg_sys::Oid>(OWNER).unwrap_or_report()
    });
    let Some(owner) = owner else { return };
    // SAFETY: called between transactions, by a process without a client. From here on SQL runs without superuser rights.
    unsafe { pg_sys::SetUserIdAndSecContext(owner, 0) };
    serve(entry);
    entry.unregister();
    if entry.take_signal() {
        BackgroundWorker::transaction(notify);
    }
}

/// Passes signals on until the worker is to stop or is no longer wanted.
fn serve(entry: &Entry) {
    // A commit may have signalled while there was no worker.
    BackgroundWorker::transaction(notify);
    let (mut notified, mut checked, mut polled) = (Instant::now(), Instant::now(), Instant::now());
    loop {
        let interval = Duration::from_millis(INTERVAL.get().unsigned_abs().into());
        let pause = interval.saturating_sub(notified.elapsed());
        if pause.is_zero() && entry.take_signal() {
            BackgroundWorker::transaction(notify);
            notified = Instant::now();
            continue;
        }
        // A signal within the interval sets the latch too: without the sleep the loop would spin until the interval ends.
        let sleep = if pause.is_zero() { CHECK_INTERVAL.saturating_sub(checked.elapsed()) } else { pause };
        if !BackgroundWorker::wait_latch(Some(sleep.max(Duration::from_millis(1)))) {
            return;
        }
        if BackgroundWorker::sighup_received() {
            // SAFETY: called between transactions, as the server's own processes do.
            unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        }
        if checked.elapsed() >= CHECK_INTERVAL {
            checked = Instant::now();
            if !BackgroundWorker::transaction(|| undisturbed() && wanted()) {
                return;
            }
            // Right after the check that the extension exists.
            if polled.elapsed() >= POLL_INTERVAL {
                polled = Instant::now();
                if BackgroundWorker::transaction(|| one("select pfa_sync_private.has_due_work()")) {
                    BackgroundWorker::transaction(notify);
                }
            }
        }
    }
}

/// Whether no session is about to drop, rename or copy this database: such a session holds its lock, and waits for the
/// others to end.
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

/// The boolean that a query returns; null is false.
fn one(query: &str) -> bool {
    Spi::get_one(query).unwrap_or_report().unwrap_or(false)
}

#[pg_guard]
unsafe extern "C-unwind" fn unregister(_code: std::ffi::c_int, entry: pg_sys::Datum) {
    // SAFETY: the entry that pfa_sync_doorbell() passed, in shared memory.
    unsafe { &*entry.cast_mut_ptr::<Entry>() }.unregister();
}
