//! What a record costs.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use crate::Map;
use crate::kind::{Kind, Meaning};

/// Days of an average month, in hundredths: PEMS' rates are monthly.
const MONTH: Decimal = Decimal::from_parts(3044, 0, 0, false, 2);
const MILLISECONDS_PER_DAY: i64 = 86_400_000;

/// The forecast cost of a record, to two decimals: of a rental, the days from forecastStart to forecastEnd as months of
/// 30.44 days, times the monthly rate; of a purchase, its price. `None`: a value that it takes is missing or can't be read,
/// or the source is another one.
pub fn cost(record: &Map) -> Option<Decimal> {
    let amount = match record.get("source")?.as_str()? {
        "Rental" => {
            let days = moment(record, "forecastEnd")?.checked_sub(moment(record, "forecastStart")?)?;
            let days = Decimal::from(days).checked_div(Decimal::from(MILLISECONDS_PER_DAY))?;
            days.checked_div(MONTH)?.checked_mul(price(record, "monthlyRate")?)?
        }
        "Purchase" => price(record, "purchasePrice")?,
        _ => return None,
    };
    Some(amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero))
}

fn price(record: &Map, field: &str) -> Option<Decimal> {
    match Kind::Decimal.read(record.get(field)?) {
        Ok(Meaning::Decimal(price)) => Some(price),
        _ => None,
    }
}

/// A date-time in milliseconds, from any fixed day.
fn moment(record: &Map, field: &str) -> Option<i64> {
    match Kind::Datetime.read(record.get(field).unwrap_or(&Value::Null)) {
        Ok(Meaning::Moment(utc)) => {
            let since = utc.duration_since(jiff::civil::DateTime::constant(2000, 1, 1, 0, 0, 0, 0));
            i64::try_from(since.as_millis()).ok()
        }
        _ => None,
    }
}
