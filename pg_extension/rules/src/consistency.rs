//! The rules between the fields of a record. Values that can't be read break no rule here: their field's does.

use crate::change::{Change, IS_DISCONTINUED, PFA_ID, is_true};
use crate::field::Kind;
use crate::validation::Verdict;
use crate::value::Meaning;
use crate::{Code, Problem, moment};

const PERIODS: [(&str, &str); 3] =
    [("forecastStart", "forecastEnd"), ("actualStart", "actualEnd"), ("originalStart", "originalEnd")];
const PRICES: [(&str, &str); 2] = [("Rental", "monthlyRate"), ("Purchase", "purchasePrice")];

pub(crate) fn check(change: &Change, verdict: &mut Verdict) {
    check_key(change, verdict);
    for (start, end) in PERIODS {
        check_period(change, start, end, verdict);
    }
    for (source, price) in PRICES {
        check_price(change, source, price, verdict);
    }
    if is_true(change.before("isActualized")) {
        check_actualized(change, verdict);
    }
    if change.revives() {
        violation(verdict, IS_DISCONTINUED, "a discontinued record can't be revived");
    }
}

fn violation(verdict: &mut Verdict, field: &str, message: &str) {
    verdict.errors.push(Problem::of_field(field, Code::BusinessRuleViolation, message.to_owned()));
}

fn check_key(change: &Change, verdict: &mut Verdict) {
    if change.lacks_key() {
        violation(verdict, PFA_ID, "the record has no pfaId, so it can't be addressed in PEMS");
    }
}

fn check_period(change: &Change, start: &str, end: &str, verdict: &mut Verdict) {
    let moment = |name| Kind::Datetime.read(change.after(name));
    let (Ok(Meaning::Moment(starts)), Ok(Meaning::Moment(ends))) = (moment(start), moment(end)) else {
        return;
    };
    if starts <= ends {
        return;
    }
    let message = format!("{start} ({}) must not be after {end} ({})", moment::write(starts), moment::write(ends));
    let problem = |field| Problem::of_field(field, Code::InvalidDateOrder, message);
    // The side the user touched is the one to point at.
    match (change.alters(start, Kind::Datetime), change.alters(end, Kind::Datetime)) {
        (false, false) => verdict.warnings.push(problem(end)),
        (true, false) => verdict.errors.push(problem(start)),
        (_, true) => verdict.errors.push(problem(end)),
    }
}

fn check_price(change: &Change, source: &str, price: &str, verdict: &mut Verdict) {
    if change.after("source") != source || !change.after(price).is_null() {
        return;
    }
    let message = format!("{price} must not be empty, since source is {source}");
    let problem = Problem::of_field(price, Code::MissingRequiredField, message);
    if change.alters("source", Kind::Text) || change.alters(price, Kind::Decimal) {
        verdict.errors.push(problem);
    } else {
        verdict.warnings.push(problem);
    }
}

/// An actualized record has happened: it stays what it was, and where it began or earlier.
fn check_actualized(change: &Change, verdict: &mut Verdict) {
    if change.alters("source", Kind::Text) {
        violation(verdict, "source", "source can't change, since the record is actualized");
    }
    let actual_start = |value| Kind::Datetime.read(value);
    if let (Ok(Meaning::Moment(before)), Ok(Meaning::Moment(after))) =
        (actual_start(change.before("actualStart")), actual_start(change.after("actualStart")))
        && after > before
    {
        let message = format!(
            "actualStart can't move later, from {} to {}, since the record is actualized",
            moment::write(before),
            moment::write(after)
        );
        violation(verdict, "actualStart", &message);
    }
    if change.discontinues() {
        violation(verdict, IS_DISCONTINUED, "an actualized record can't be discontinued");
    }
}
