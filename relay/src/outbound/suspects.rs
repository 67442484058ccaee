//! Changes that were in a request which something other than PEMS answered, or nothing. The text of one of them may be the
//! reason, such as for a firewall that inspects content, or it may be an outage: the changes are sent again in ever smaller
//! requests, until those that go through have gone and the others are alone. The database decides what becomes of these.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::calls::Claimed;

/// Most suspects that are remembered. They are a hint: without it, more requests are needed.
const MAX_SUSPECTS: usize = 10_000;

/// The changes, by queue id, each with the size of the largest request that it may be in.
#[derive(Debug, Default)]
pub struct Suspects(Mutex<HashMap<i64, usize>>);

impl Suspects {
    /// Whether none is known: then all changes of a batch are sent in one request.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The requests in which to send records, the least suspected first.
    pub(super) fn parts(&self, records: &[Claimed]) -> Vec<Vec<Claimed>> {
        let known = self.lock();
        let largest = |record: &Claimed| known.get(&record.token.queue_id).copied().unwrap_or(usize::MAX);
        let mut rest = records.to_vec();
        // Stable: within a part, the order of the claim stays.
        rest.sort_by_key(|record| std::cmp::Reverse(largest(record)));
        let mut parts = Vec::new();
        while let Some(first) = rest.first() {
            let size = largest(first);
            let alike = rest.iter().take_while(|record| largest(record) == size).count();
            parts.push(rest.drain(..alike.min(size)).collect());
        }
        parts
    }

    /// PEMS did not answer a request with these records. One that `nothing` answered is usually the network's fault: only
    /// when it happens again are its records suspects.
    pub(super) fn suspect(&self, records: &[Claimed], nothing: bool) {
        let mut known = self.lock();
        if known.len() + records.len() > MAX_SUSPECTS {
            known.clear();
        }
        for record in records {
            let id = record.token.queue_id;
            let size = if nothing && !known.contains_key(&id) { usize::MAX } else { (records.len() / 2).max(1) };
            known.insert(id, size);
        }
    }

    /// PEMS answered a request with these records.
    pub(super) fn acquit(&self, records: &[Claimed]) {
        let mut known = self.lock();
        if !known.is_empty() {
            for record in records {
                known.remove(&record.token.queue_id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::ClaimToken;

    fn claimed(ids: &[i64]) -> Vec<Claimed> {
        let record = |&queue_id: &i64| Claimed {
            token: ClaimToken { queue_id, fencing_token: 1 },
            pfa_id: queue_id.to_string(),
            committed: tokio::time::Instant::now(),
            ambiguous: false,
            write: None,
        };
        ids.iter().map(record).collect()
    }

    fn parts(suspects: &Suspects, ids: &[i64]) -> Vec<Vec<i64>> {
        let ids_of = |part: &Vec<Claimed>| part.iter().map(|record| record.token.queue_id).collect();
        suspects.parts(&claimed(ids)).iter().map(ids_of).collect()
    }

    #[test]
    fn what_is_in_no_unanswered_request_goes_first_and_the_others_in_ever_smaller_ones() {
        let suspects = Suspects::default();
        assert_eq!(parts(&suspects, &[1, 2, 3, 4, 5]), [vec![1, 2, 3, 4, 5]]);
        suspects.suspect(&claimed(&[1, 2, 3, 4, 5]), false);
        assert_eq!(parts(&suspects, &[1, 2, 3, 4, 5, 6]), [vec![6], vec![1, 2], vec![3, 4], vec![5]]);
        suspects.acquit(&claimed(&[1, 2]));
        suspects.suspect(&claimed(&[3, 4]), true);
        assert_eq!(parts(&suspects, &[1, 2, 3, 4, 5]), [vec![1, 2], vec![5], vec![3], vec![4]]);
        suspects.suspect(&claimed(&[3]), false);
        assert_eq!(parts(&suspects, &[3]), [vec![3]]);
        suspects.suspect(&claimed(&[7, 8]), true);
        assert_eq!(parts(&suspects, &[7, 8]), [vec![7, 8]]);
        suspects.suspect(&claimed(&[7, 8]), true);
        assert_eq!(parts(&suspects, &[7, 8]), [vec![7], vec![8]]);
    }
}
