//! Answers that many callers share for a short time, so that requests which need no token can't cause work one by one.

use std::{future::Future, time::Duration};

use tokio::{sync::Mutex, time::Instant};

/// An answer with its age.
pub struct Cached<T> {
    max_age: Duration,
    answer: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Cached<T> {
    /// Nothing yet; an answer is used for `max_age` from its end.
    pub fn new(max_age: Duration) -> Self {
        Self { max_age, answer: Mutex::new(None) }
    }

    /// The answer of another caller, if it is young enough, else a new one. Callers that come meanwhile wait for it.
    pub async fn get(&self, ask: impl Future<Output = T>) -> T {
        let mut answer = self.answer.lock().await;
        match &*answer {
            Some((at, known)) if at.elapsed() < self.max_age => known.clone(),
            _ => {
                let new = ask.await;
                *answer = Some((Instant::now(), new.clone()));
                new
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn callers_share_an_answer_until_it_is_old() {
        let (cached, asked) = (Cached::new(Duration::from_secs(1)), AtomicU32::new(0));
        let get = async || {
            cached
                .get(async {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    asked.fetch_add(1, Ordering::Relaxed)
                })
                .await
        };
        assert_eq!(tokio::join!(get(), get(), get()), (0, 0, 0));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(get().await, 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(get().await, 1);
    }
}
