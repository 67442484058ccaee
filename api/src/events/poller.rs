//! Polls the log for all open streams.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::{
    hub::{Content, Hub, Progress, Update},
    log::{current_position, events_of_all},
};
use crate::{auth::caller::Access, http::problem::Problem, session::Sessions};

/// How often the log is polled while a stream is open: the longest delay of an event after its transaction.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How long to wait after a failed poll.
const RETRY_WAIT: Duration = Duration::from_secs(2);

/// Polls as long as the service runs. While no stream is open, the database is not queried.
pub(crate) async fn run(hub: Arc<Hub>, access: Arc<Access>) {
    let mut ticks = interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if poll(&hub, &access.sessions).await.is_err() {
            sleep(RETRY_WAIT).await;
        }
    }
}

async fn poll(hub: &Hub, sessions: &Sessions) -> Result<(), Problem> {
    let Progress { number, polls, position } = hub.progress.borrow().clone();
    if hub.updates.receiver_count() == 0 {
        hub.progress.send_replace(Progress { number, polls, position: None });
        return Ok(());
    }
    let Some(since) = position else {
        // Events since the last stream closed are not sent: a number is left out, so that no stream takes the next update
        // for the one after its last.
        let position = Some(current_position(sessions).await?);
        hub.progress.send_replace(Progress { number: number + 1, polls: polls + 1, position });
        return Ok(());
    };
    let events = match events_of_all(sessions, &since).await {
        Err(problem) if problem.code() == "moved_on" => None,
        events => events?,
    };
    let (position, content) = match events {
        Some(events) if events.is_empty() => {
            hub.progress.send_modify(|progress| progress.polls += 1);
            return Ok(());
        }
        Some(events) => (events[0].following.clone(), Content::Events(events)),
        None => {
            let position = current_position(sessions).await?;
            (position.clone(), Content::Reload(position))
        }
    };
    let number = number + 1;
    // Progress first: a stream that subscribes between the two recognizes the update by its number.
    hub.progress.send_replace(Progress { number, polls: polls + 1, position: Some(position) });
    let _ = hub.updates.send(Arc::new(Update { number, content }));
    Ok(())
}
