//! The report: a table to read, JSON for programs.

use std::fmt;

use serde_json::{Value, json};

/// The unit of a row's figures.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Edits or commits in a second.
    PerSecond,
    /// Part of a whole, 1 = all of it.
    Share,
    /// Memory, in 2^20 bytes.
    Mebibytes,
    /// 1,000 bytes.
    #[cfg(feature = "peers")]
    Kilobytes,
    /// A number of things.
    Count,
}

impl Unit {
    fn symbol(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
            Unit::PerSecond => "/s",
            Unit::Share => "of 1",
            Unit::Mebibytes => "MiB",
            #[cfg(feature = "peers")]
            Unit::Kilobytes => "kB",
            Unit::Count => "",
        }
    }
}

/// The rows of a run.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    statistic: &'static str,
    value: f64,
    unit: &'static str,
    rounds: usize,
    goal: Option<String>,
}

impl Report {
    /// Adds the median of rounds, and returns it.
    pub fn median(&mut self, name: &str, rounds: &[f64], unit: Unit, goal: Option<&str>) -> f64 {
        self.percentile(name, "median", 0.5, rounds, unit, goal)
    }

    /// Adds what was measured once.
    pub fn single(&mut self, name: &str, value: f64, unit: Unit, goal: Option<&str>) {
        self.percentile(name, "single", 0.5, &[value], unit, goal);
    }

    /// Adds a percentile (0 to 1) of single measurements, and returns it.
    pub fn percentile(
        &mut self,
        name: &str,
        statistic: &'static str,
        share: f64,
        values: &[f64],
        unit: Unit,
        goal: Option<&str>,
    ) -> f64 {
        let value = percentile(values, share);
        let goal = goal.map(str::to_owned);
        self.rows.push(Row { name: name.to_owned(), statistic, value, unit: unit.symbol(), rounds: values.len(), goal });
        value
    }

    /// Adds the median of the ratios of paired rounds, `of` to `to`.
    pub fn ratio(&mut self, name: &str, of: &[f64], to: &[f64], goal: Option<&str>) {
        let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
        let goal = goal.map(str::to_owned);
        self.rows.push(Row {
            name: name.to_owned(),
            statistic: "median",
            value: percentile(&ratios, 0.5),
            unit: "times",
            rounds: ratios.len(),
            goal,
        });
    }

    /// The rows as JSON.
    pub fn json(&self) -> Value {
        let row = |row: &Row| json!({"name": row.name, "statistic": row.statistic, "value": row.value, "unit": row.unit, "rounds": row.rounds, "goal": row.goal});
        self.rows.iter().map(row).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | statistic | figure | rounds | goal |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for row in &self.rows {
            let goal = row.goal.as_deref().unwrap_or("");
            writeln!(f, "| {} | {} | {:.3} {} | {} | {goal} |", row.name, row.statistic, row.value, row.unit, row.rounds)?;
        }
        Ok(())
    }
}

/// The value below which a share of the values lies; the nearest rank.
fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}
