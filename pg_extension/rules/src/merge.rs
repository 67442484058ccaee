//! The three-way merge of an edit with a record that has moved on.

use serde_json::Value;

use crate::{Map, Rules};

/// What becomes of each field of an edit. Lists are sorted by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merge {
    /// The fields to write, with our values.
    pub apply: Map,
    /// Fields that theirs holds already.
    pub same: Vec<String>,
    /// Fields that somebody else changed, to something else.
    pub conflicts: Vec<String>,
}

/// Merges `ours` (the changed fields) into `theirs` (the record now), field by field.
///
/// `base` is the record the author saw; without it nothing is guessed, and every field that differs is a conflict.
/// `accepted` has values that theirs may hold without anybody's being lost: what the author's own earlier write, or an
/// earlier judgement, made of the field.
///
/// Without `sees_prices`, the author may not see prices: no price is reported as the same, since that would confirm a
/// guess of it. A price is written if the field is unchanged in the record, and a conflict otherwise.
pub fn three_way(
    rules: &Rules,
    base: Option<&Map>,
    accepted: Option<&Map>,
    ours: &Map,
    theirs: &Map,
    sees_prices: bool,
) -> Merge {
    let mut merge = Merge::default();
    for (name, our) in ours {
        let their = theirs.get(name).unwrap_or(&Value::Null);
        let is_theirs = |value: &Value| rules.equal(name, value, their);

        let unchanged = || base.is_some_and(|base| is_theirs(base.get(name).unwrap_or(&Value::Null)));
        let is_accepted = || accepted.and_then(|accepted| accepted.get(name)).is_some_and(is_theirs);
        let is_hidden = !sees_prices && rules.is_price(name);
        if !is_hidden && is_theirs(our) {
            merge.same.push(name.clone());
        } else if unchanged() || is_accepted() {
            merge.apply.insert(name.clone(), our.clone());
        } else {
            merge.conflicts.push(name.clone());
        }
    }
    merge
}
