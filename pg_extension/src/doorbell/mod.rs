//! The doorbell: wakes the relays when a transaction commits that made work for them.
//!
//! NOTIFY in the writer's transaction takes a lock of the whole cluster until its commit is on disk: writers wait for
//! each other. So, where the library is preloaded, a commit only signals: it sets a flag in shared memory and the latch
//! of this database's worker, which sends one NOTIFY for all commits that signalled meanwhile. Without preload, or while
//! no worker is alive, the transaction notifies by itself. Which of the two is decided when the transaction commits.
//!
//! - `pending`: whether this backend's transaction wakes the relays
//! - `registry`: the databases that have a worker, in shared memory
//! - `worker`: the background worker that sends NOTIFY

mod pending;
mod registry;
mod worker;

use pgrx::prelude::*;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum, pg_shmem_init};

use registry::{REGISTRY, REGISTRY_LOCK};

/// The channel that relays listen on.
const CHANNEL: &str = "pfa_sync_wake";

#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
enum Wake {
    /// By the doorbell where its worker is alive, else by NOTIFY.
    Auto,
    /// By NOTIFY in the writer's transaction.
    Notify,
    /// Not at all: relays find the work when they poll.
    Off,
}

static WAKE: GucSetting<Wake> = GucSetting::<Wake>::new(Wake::Auto);

/// Least time between two NOTIFYs of a worker, in milliseconds.
static INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(10);

/// Called once, when the library is loaded: shared memory can be asked for only while the server starts.
pub fn init() {
    GucRegistry::define_enum_guc(
        c"pfa_sync.wake",
        c"How commits wake the relays of pfa-sync.",
        c"auto: by the doorbell where the library is preloaded, else by NOTIFY. notify: by NOTIFY. off: not at all; relays find work when they poll.",
        &WAKE,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"pfa_sync.doorbell_interval",
        c"Least time between two notifications that a database's doorbell sends.",
        c"The first signal after a pause is passed on at once.",
        &INTERVAL,
        0,
        1_000,
        GucContext::Sighup,
        GucFlags::UNIT_MS,
    );
    // SAFETY: reads a variable of this process, which the server sets before it loads any library.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        pg_shmem_init!(REGISTRY);
        pg_shmem_init!(REGISTRY_LOCK);
        registry::enable();
    }
}

/// Wakes the relays when this transaction commits, and starts a worker for the next commits if there is none.
#[pg_extern(sql = false)]
fn wake() {
    if WAKE.get() == Wake::Off {
        return;
    }
    pending::record();
    if WAKE.get() == Wake::Auto && registry::wants_worker(database()) && worker::wanted() {
        // No worker slot is free: the start is tried again later, and until then transactions notify by themselves.
        let _ = worker::start(database());
    }
}

/// How a commit of this session would wake the relays now: `doorbell`, `notify` or `off`.
#[pg_extern(sql = false)]
fn wake_in_force() -> &'static str {
    match WAKE.get() {
        Wake::Off => "off",
        Wake::Auto if registry::alive(database()).is_some() => "doorbell",
        _ => "notify",
    }
}

/// The database of this backend.
fn database() -> u32 {
    // SAFETY: reads a variable of this process, set when it connected.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// Sends a NOTIFY when the current transaction commits.
fn notify() {
    // SAFETY: pg_notify takes two texts, and a transaction is under way.
    unsafe { pgrx::direct_function_call::<()>(pg_sys::pg_notify, &[CHANNEL.into_datum(), "".into_datum()]) };
}
