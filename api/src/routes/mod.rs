//! The routes, each with its part of the OpenAPI description.

mod alerts;
mod audit;
mod bulk_jobs;
mod bulk_resolution;
mod conflicts;
mod control;
mod dashboard;
mod dead_letters;
mod docs;
mod drafts;
mod edits;
mod events;
mod exports;
mod figures;
mod health;
mod jobs;
mod listing;
mod me;
mod modifications;
mod notifications;
mod records;
mod resolved_conflicts;
mod rollback;
mod sync;
mod systems;

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::HeaderValue;
pub(crate) use dashboard::Dashboard;
pub(crate) use docs::docs;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

/// Every described route.
pub(crate) fn all() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(records::list))
        .routes(routes!(records::search))
        .routes(routes!(records::facets))
        .routes(routes!(records::get))
        .routes(routes!(me::me))
        .routes(routes!(me::views))
        .routes(routes!(me::save_view, me::delete_view))
        .routes(routes!(drafts::save))
        .routes(routes!(drafts::save_all))
        .routes(routes!(modifications::states))
        .routes(routes!(drafts::commit))
        .routes(routes!(drafts::discard))
        .routes(routes!(drafts::withdraw))
        .routes(routes!(drafts::summary))
        .routes(routes!(edits::preview))
        .routes(routes!(edits::start))
        .routes(routes!(modifications::state))
        .routes(routes!(modifications::explain))
        .routes(routes!(sync::write_sync))
        .routes(routes!(sync::status))
        .routes(routes!(sync::timeline))
        .routes(routes!(conflicts::list))
        .routes(routes!(resolved_conflicts::list))
        .routes(routes!(bulk_resolution::preview))
        .routes(routes!(bulk_resolution::resolve_all))
        .routes(routes!(conflicts::get))
        .routes(routes!(conflicts::resolve))
        .routes(routes!(conflicts::check))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::preview))
        .routes(routes!(dead_letters::requeue))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::changes))
        .routes(routes!(jobs::attempts))
        .routes(routes!(jobs::batches))
        .routes(routes!(bulk_jobs::items))
        .routes(routes!(bulk_jobs::stop))
        .routes(routes!(bulk_jobs::continue_job))
        .routes(routes!(bulk_jobs::undo))
        .routes(routes!(rollback::preview, rollback::roll_back))
        .routes(routes!(rollback::records))
        .routes(routes!(rollback::preview_restore, rollback::restore))
        .routes(routes!(figures::kpis))
        .routes(routes!(figures::drain_forecast))
        .routes(routes!(figures::failures))
        .routes(routes!(figures::note))
        .routes(routes!(figures::causes))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(alerts::rules))
        .routes(routes!(alerts::change_rule))
        .routes(routes!(alerts::channels, alerts::set_channel))
        .routes(routes!(alerts::remove_channel))
        .routes(routes!(notifications::list))
        .routes(routes!(notifications::mark_read))
        .routes(routes!(systems::list))
        .routes(routes!(systems::define, systems::retire))
        .routes(routes!(systems::assign))
        .routes(routes!(systems::credentials))
        .routes(routes!(systems::relays))
        .routes(routes!(events::listen))
        .routes(routes!(audit::list))
        .routes(routes!(audit::export))
        .routes(routes!(exports::conflicts))
        .routes(routes!(exports::resolved))
        .routes(routes!(exports::dead_letters))
        .routes(routes!(exports::jobs))
        .routes(routes!(control::pause))
        .routes(routes!(control::resume))
        .routes(routes!(control::drain))
        .routes(routes!(control::is_drained))
        .routes(routes!(control::settings))
        .routes(routes!(control::set))
}

/// The ETag of a text that the program holds.
fn tag_of(text: &str) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish()).parse().expect("hexadecimal digits in quotes are a header")
}
