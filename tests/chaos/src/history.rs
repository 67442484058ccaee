//! PEMS' records version by version, put together from what it applied and what others changed in it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::checker::Overwritten;
use super::facts::{Facts, Fields, Key};

/// Who made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    Ours(i64),
    Foreign,
}

struct Version<'a> {
    maker: Maker,
    changes: &'a Fields,
    /// The whole record as this version has it.
    record: Fields,
}

/// Every version of every record.
pub(super) struct History<'a> {
    beginning: &'a BTreeMap<Key, Fields>,
    versions: BTreeMap<&'a Key, BTreeMap<i64, Version<'a>>>,
    /// How often each queue row reached PEMS.
    arrivals: BTreeMap<i64, usize>,
    /// Versions that were made twice.
    pub doubled: Vec<String>,
}

impl<'a> History<'a> {
    pub fn of(facts: &'a Facts) -> Self {
        let mut history =
            Self { beginning: &facts.beginning, versions: BTreeMap::new(), arrivals: BTreeMap::new(), doubled: Vec::new() };
        for foreign in &facts.foreign {
            history.add(&foreign.key, foreign.version, Maker::Foreign, &foreign.changes);
        }
        for request in &facts.log {
            for write in &request.writes {
                let Some(id) = write.idempotency_key.as_deref().and_then(queue_id) else { continue };
                *history.arrivals.entry(id).or_default() += 1;
                let key = (request.organization.clone().unwrap_or_default(), write.pfa_id.clone());
                let (Some((key, _)), Some(changes)) = (facts.beginning.get_key_value(&key), write.changes.as_object()) else {
                    continue;
                };
                if write.status == 200 {
                    history.add(key, write.version + 1, Maker::Ours(id), changes);
                }
            }
        }
        for (key, versions) in &mut history.versions {
            let mut record = facts.beginning.get(*key).cloned().unwrap_or_default();
            for version in versions.values_mut() {
                record.extend(version.changes.clone());
                version.record = record.clone();
            }
        }
        history
    }

    fn add(&mut self, key: &'a Key, version: i64, maker: Maker, changes: &'a Fields) {
        let made = Version { maker, changes, record: Fields::new() };
        if let Some(earlier) = self.versions.entry(key).or_default().insert(version, made) {
            self.doubled.push(format!("version {version} of record {key:?} was made by {:?} and by {maker:?}", earlier.maker));
        }
    }

    /// The record at a version.
    pub fn at(&self, key: &Key, version: i64) -> Option<&Fields> {
        self.versions.get(key)?.get(&version).map(|version| &version.record)
    }

    /// All that a record ever was.
    pub fn states(&self, key: &Key) -> impl Iterator<Item = &Fields> {
        let later = self.versions.get(key).into_iter().flat_map(|versions| versions.values().map(|version| &version.record));
        self.beginning.get(key).into_iter().chain(later)
    }

    /// Queue ids and versions of our writes to a record, in PEMS' order.
    pub fn ours(&self, key: &Key) -> impl Iterator<Item = (i64, i64)> {
        self.versions.get(key).into_iter().flatten().filter_map(|(&version, made)| match made.maker {
            Maker::Ours(id) => Some((id, version)),
            Maker::Foreign => None,
        })
    }

    /// The versions that a queue row made.
    pub fn versions_of(&self, queue_id: i64) -> impl Iterator<Item = i64> {
        self.versions.values().flatten().filter(move |(_, made)| made.maker == Maker::Ours(queue_id)).map(|(&version, _)| version)
    }

    /// Applied queue rows that have not ended, with the version they made.
    pub fn written_before_their_end(&self, facts: &Facts) -> Vec<(i64, i64)> {
        let all = self.versions.keys().flat_map(|key| self.ours(key));
        all.filter(|(id, _)| !facts.ended.contains_key(id)).collect()
    }

    /// Whether the relay wrote the last version of a record.
    pub fn last_is_ours(&self, key: &Key) -> bool {
        let last = self.versions.get(key).and_then(BTreeMap::last_key_value);
        last.is_none_or(|(_, version)| version.maker != Maker::Foreign)
    }

    /// How often each queue row reached PEMS.
    pub fn arrivals(&self) -> impl Iterator<Item = (i64, usize)> {
        self.arrivals.iter().map(|(&id, &count)| (id, count))
    }

    /// Values set by other users of PEMS that a write of the relay replaced.
    pub fn foreign_values_overwritten(&self) -> Vec<Overwritten<'_>> {
        let mut found = Vec::new();
        for (key, versions) in &self.versions {
            let mut foreign: BTreeMap<&str, &Value> = BTreeMap::new();
            for version in versions.values() {
                for (field, value) in version.changes {
                    match version.maker {
                        Maker::Foreign => {
                            foreign.insert(field, value);
                        }
                        Maker::Ours(queue_id) => {
                            if let Some(lost) = foreign.remove(field.as_str()).filter(|lost| *lost != value) {
                                found.push(Overwritten { queue_id, key, field, value: lost });
                            }
                        }
                    }
                }
            }
        }
        found
    }
}

/// An idempotency key is the queue id and the revision of the request.
fn queue_id(key: &str) -> Option<i64> {
    key.split_once('-')?.0.parse().ok()
}
