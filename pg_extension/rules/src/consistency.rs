//! The rules between the fields of a record. Values that can't be read are skipped here: the rule of their field reports
//! them.

use crate::change::{Change, IS_DISCONTINUED, PFA_ID, is_true};
use crate::kind::{Kind, Meaning};
use crate::report::ValidationReport;
use crate::{Code, Problem, moment};

const PERIODS: [(&str, &str); 3] =
    [("forecastStart", "forecastEnd"), ("actualStart", "actualEnd"), ("originalStart", "originalEnd")];
/// What is said of a record whose key is unsafe.
pub(crate) const UNSAFE_KEY: &str =
    "the pfaId can't be part of an address in PEMS: it is batch, has a part . or .., or a control character";
const PRICES: [(&str, &str); 2] = [("Rental", "monthlyRate"), ("Purchase", "purchasePrice")];

/// Whether the rules between fields, or the permissions that an edit needs, read the field of a record, whatever the edit
/// changes. Judging an edit needs those fields of the record and the edited ones.
pub fn spans_fields(name: &str) -> bool {
    matches!(name, PFA_ID | "source" | "isActualized" | IS_DISCONTINUED)
        || PERIODS.iter().any(|(start, end)| name == *start || name == *end)
        || PRICES.iter().any(|(_, price)| name == *price)
}

pub(crate) fn check(change: &Change, may_revive: bool, report: &mut ValidationReport) {
    check_key(change, report);
    for (start, end) in PERIODS {
        check_period(change, start, end, report);
    }
    for (source, price) in PRICES {
        check_price(change, source, price, report);
    }
    if is_true(change.before("isActualized")) {
        check_actualized(change, report);
    }
    if change.revives() && !may_revive {
        violation(report, IS_DISCONTINUED, "a discontinued record can't be revived");
    }
}

fn violation(report: &mut ValidationReport, field: &str, message: &str) {
    report.errors.push(Problem::of_field(field, Code::BusinessRuleViolation, message.to_owned()));
}

fn check_key(change: &Change, report: &mut ValidationReport) {
    if change.lacks_key() {
        violation(report, PFA_ID, "the record has no pfaId, so it can't be addressed in PEMS");
    }
    if change.has_unsafe_key() {
        violation(report, PFA_ID, UNSAFE_KEY);
    }
}

fn check_period(change: &Change, start: &str, end: &str, report: &mut ValidationReport) {
    let moment = |name| Kind::Datetime.read(change.after(name));
    let (Ok(Meaning::Moment(starts)), Ok(Meaning::Moment(ends))) = (moment(start), moment(end)) else {
        return;
    };
    if starts <= ends {
        return;
    }
    let message = format!("{start} ({}) must not be after {end} ({})", moment::write(starts), moment::write(ends));
    let problem = |field| Problem::of_field(field, Code::InvalidDateOrder, message);
    // The problem is reported at the side that the user changed.
    match (change.alters(start, Kind::Datetime), change.alters(end, Kind::Datetime)) {
        (false, false) => report.warnings.push(problem(end)),
        (true, false) => report.errors.push(problem(start)),
        (_, true) => report.errors.push(problem(end)),
    }
}

fn check_price(change: &Change, source: &str, price: &str, report: &mut ValidationReport) {
    if change.after("source") != source || !change.after(price).is_null() {
        return;
    }
    let message = format!("{price} must not be empty, since source is {source}");
    let problem = Problem::of_field(price, Code::MissingRequiredField, message);
    if change.alters("source", Kind::Text) || change.alters(price, Kind::Decimal) {
        report.errors.push(problem);
    } else {
        report.warnings.push(problem);
    }
}

/// The source of an actualized record can't change, its start can't move later, and it can't be discontinued.
fn check_actualized(change: &Change, report: &mut ValidationReport) {
    if change.alters("source", Kind::Text) {
        violation(report, "source", "source can't change, since the record is actualized");
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
        violation(report, "actualStart", &message);
    }
    if change.discontinues() {
        violation(report, IS_DISCONTINUED, "an actualized record can't be discontinued");
    }
}
