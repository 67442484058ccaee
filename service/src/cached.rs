//! Answers that many callers share, so that each of them does not cause the same work.

use std::{future::Future, time::Duration};

use tokio::{sync::Mutex, time::Instant};

/// An answer that is used for a short time.
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

/// An answer that is made for all callers who came before it was begun: each gets one that is as new as its own would be.
pub struct Joined<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Joined<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Joined<T> {
    /// The answer of another caller that was begun since this one came, else a new one.
    pub async fn get(&self, ask: impl Future<Output = T>) -> T {
        let came = Instant::now();
        let mut answer = self.0.lock().await;
        match &*answer {
            Some((begun, known)) if *begun >= came => known.clone(),
            _ => {
                let begun = Instant::now();
                let new = ask.await;
                *answer = Some((begun, new.clone()));
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
    async fn who_comes_while_an_answer_is_made_gets_the_next_one() {
        let (joined, asked) = (Joined::default(), AtomicU32::new(0));
        let get = async |after: u64| {
            tokio::time::sleep(Duration::from_millis(after)).await;
            joined
                .get(async {
                    let turn = asked.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    turn
                })
                .await
        };
        assert_eq!(tokio::join!(get(0), get(3), get(5), get(9)), (0, 1, 1, 1));
        assert_eq!(get(50).await, 2, "an answer is never older than its question");
    }

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
