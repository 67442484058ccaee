//! Lists as CSV, streamed a page at a time, so that no transaction waits for a slow client.

use std::{collections::VecDeque, future::Future};

use axum::{
    body::Body as Stream,
    http::header,
    response::{AppendHeaders, IntoResponse, Response},
};
use csv::{QuoteStyle, Terminator, WriterBuilder};
use futures_util::stream;
use serde::Serialize;
use serde_json::Value;

use super::problem::Problem;

/// The rest of an export: what is ready to be sent, and where its next page is read.
struct Export<S> {
    columns: &'static [&'static str],
    ready: VecDeque<Vec<u8>>,
    rest: Option<S>,
}

/// Answers with a file of these columns: the values of rows as JSON has them, by name. `read` returns the rows of a page, and
/// where the next one is read; `None` = that was the last.
pub(crate) async fn export<S, R, F>(
    name: &str,
    columns: &'static [&'static str],
    first: S,
    read: fn(S) -> F,
) -> Result<Response, Problem>
where
    S: Send + 'static,
    R: Serialize + Send + 'static,
    F: Future<Output = Result<(Vec<R>, Option<S>), Problem>> + Send + 'static,
{
    let mut export = Export { columns, ready: VecDeque::new(), rest: Some(first) };
    // The first rows are read before the answer begins, so that a refusal is answered as a problem.
    export.page(read).await?;
    export.ready.push_front(format!("{}\r\n", columns.join(",")).into());
    let lines = stream::try_unfold(export, move |mut export| async move {
        if export.ready.is_empty() && export.rest.is_some() {
            let interrupted = |_| std::io::Error::other("the export was interrupted; the log of the service has the reason");
            export.page(read).await.map_err(interrupted)?;
        }
        Ok::<_, std::io::Error>(export.ready.pop_front().map(|lines| (lines, export)))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
    ];
    Ok((AppendHeaders(headers), Stream::from_stream(lines)).into_response())
}

impl<S> Export<S> {
    /// Reads the next page, if there is one.
    async fn page<R, F>(&mut self, read: fn(S) -> F) -> Result<(), Problem>
    where
        R: Serialize,
        F: Future<Output = Result<(Vec<R>, Option<S>), Problem>>,
    {
        let Some(state) = self.rest.take() else { return Ok(()) };
        let (rows, rest) = read(state).await?;
        self.rest = rest;
        if !rows.is_empty() {
            self.ready.push_back(lines(self.columns, &rows)?);
        }
        Ok(())
    }
}

fn lines(columns: &[&str], rows: &[impl Serialize]) -> Result<Vec<u8>, Problem> {
    let mut writer = WriterBuilder::new().quote_style(QuoteStyle::Always).terminator(Terminator::CRLF).from_writer(Vec::new());
    let written = rows.iter().try_for_each(|row| {
        let row = serde_json::to_value(row).unwrap_or_default();
        writer.write_record(columns.iter().map(|column| cell(&row[*column])))
    });
    let lines = written.ok().and_then(|()| writer.into_inner().ok());
    lines.ok_or_else(|| Problem::new("internal", "The rows can't be written as CSV."))
}

/// A cell that a spreadsheet would evaluate as a formula gets a quote before it, which makes it a text.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_become_lines_and_formulas_become_texts() {
        let rows = [json!({"a": "=1+1", "b": {"c": [1]}, "other": 1}), json!({"a": null, "b": -5})];
        let text = String::from_utf8(lines(&["a", "b"], &rows).unwrap()).unwrap();
        assert_eq!(text, "\"'=1+1\",\"{\"\"c\"\":[1]}\"\r\n\"\",\"'-5\"\r\n");
    }
}
