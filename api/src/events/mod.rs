//! Events of the log as server-sent events.
//!
//! One query of the log serves all open streams: the poller reads new events, the hub passes them on, each stream sends
//! those of its user's organizations. Missed events are read from the log again, so nothing is stored for a stream. A
//! stream that does not keep up is closed, and its client reconnects with the id of the last event.

pub(crate) mod hub;
mod log;
pub(crate) mod poller;
pub(crate) mod stream;
