//! What the way in costs: pages of PEMS' list against a mirror that holds most of it already.

use std::time::Instant;

use anyhow::{Result, ensure};
use tokio_postgres::Client;

use super::commit::milliseconds;
use super::{ROUNDS, Report, Unit};
use testbed::application::RIO;
use testbed::cluster::{Database, Server, Template};

/// Records of PEMS, pulled in pages.
const RECORDS: i32 = 60_000;
/// Records of a page: what a fill through `ingest` is given at a time.
const PAGE: i32 = 10_000;
/// Mirror rows of the last comparison.
const MANY: i32 = 1_000_000;

/// PEMS as a table, a page of its list, and how much of the write-ahead log there is.
const SET_UP: &str = r#"
    create table pems (id int primary key, version int not null default 1, model text not null default 'LTM 1100');
    create table page (page jsonb);
    create function listed(first int, last int) returns jsonb language sql as $$
        select jsonb_agg(jsonb_build_object('pfaId', id::text, 'organization', 'RIO', 'areaSilo', 'Silo 1', 'category', 'Crane', 'class', 'Mobile Crane',
            'source', 'Rental', 'dor', 'BEO', 'monthlyRate', 12500, 'manufacturer', 'Liebherr', 'model', model,
            'forecastStart', '2026-01-01T00:00:00.000Z', 'forecastEnd', '2026-12-31T00:00:00.000Z',
            'originalStart', '2026-01-01T00:00:00.000Z', 'originalEnd', '2026-12-31T00:00:00.000Z',
            'isActualized', false, 'isDiscontinued', false, 'isFundsTransferable', false,
            'version', version, 'updatedAt', '2026-01-01T00:00:00.000Z') order by id)
          from pems where id between first and last
    $$;
    create function written() returns float8 language sql as $$ select (pg_current_wal_insert_lsn() - '0/0')::float8 / 1048576 $$;
"#;

/// Further mirror rows as PEMS might have them, put in beside `ingest` to save minutes.
const MORE: &str = r#"
    insert into pfa_mirror
    select (jsonb_populate_record(m, jsonb_build_object('id', gen_random_uuid(), 'pfaId', n::text, 'data', m.data || jsonb_build_object('pfaId', n::text)))).*
      from pfa_mirror m, generate_series($1::int + 1, $2::int) n
     where m."pfaId" = '1'
"#;

/// Measures a first fill and a pull that finds nothing new, then pages with one change in a hundred.
pub async fn run(server: &Server, report: &mut Report, progress: &impl Fn(&str)) -> Result<()> {
    let database = Database::create(server, Template::Attached).await?;
    let client = database.client().await?;
    client.batch_execute(SET_UP).await?;
    client.execute("insert into pems (id) select generate_series(1, $1)", &[&RECORDS]).await?;
    logged(&client, report).await?;
    client.batch_execute("vacuum analyze").await?;

    let (compared, promoted) = pages(&client, 0).await?;
    report.median("joining and comparing a page of 10,000 with a mirror of 60,000", &compared, Unit::Milliseconds, None);
    report.median("promoting it, with 1 % changed", &promoted, Unit::Milliseconds, None);
    report.ratio("promoting, to joining and comparing", &promoted, &compared, Some("at most 1.5"));

    progress("Inbound: filling the mirror up to 1,000,000 rows");
    client.execute(MORE, &[&RECORDS, &MANY]).await?;
    client.batch_execute("vacuum analyze").await?;
    let (compared, among_many) = pages(&client, 1).await?;
    report.median("joining and comparing a page with a mirror of 1,000,000", &compared, Unit::Milliseconds, None);
    report.median("promoting it, with 1 % changed", &among_many, Unit::Milliseconds, None);
    report.ratio("promoting among 1,000,000, to among 60,000", &among_many, &promoted, Some("at most 1.5"));
    Ok(())
}

/// What a first fill and a pull without news write to the log, bronze left out.
async fn logged(client: &Client, report: &mut Report) -> Result<()> {
    let mut written = [0.0; 2];
    for (pull, expected) in [i64::from(RECORDS), 0].into_iter().enumerate() {
        let mut changed = 0;
        for first in (1..=RECORDS).step_by(PAGE as usize) {
            list(client, first).await?;
            let before: f64 = value(client, "select written()").await?;
            changed += promote(client).await?;
            written[pull] += value::<f64>(client, "select written()").await? - before;
        }
        ensure!(changed == expected, "{changed} rows changed, and not {expected}");
    }
    let history: i64 = value(client, "select count(*) from pfa_mirror_history").await?;
    ensure!(history == 0, "{history} rows of history were written");
    let [fill, nothing] = written;
    report.median("first fill of 60,000: write-ahead log", &[fill], Unit::Mebibytes, None);
    report.median("a pull of the same without news: write-ahead log", &[nothing], Unit::Mebibytes, None);
    report.ratio("without news, to the first fill", &[nothing], &[fill], Some("under 0.1"));
    Ok(())
}

/// Milliseconds of comparing a page, and of promoting it, in turns. Each page has other changes.
async fn pages(client: &Client, series: i32) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut compared, mut promoted) = (Vec::new(), Vec::new());
    // The first round fills caches and is not counted.
    for round in 0..=ROUNDS as i32 {
        let first = round % (RECORDS / PAGE) * PAGE + 1;
        let change = "update pems set version = version + 1, model = $1 where id between $2 and $3 and id % 100 = $4";
        let model = format!("LTM {series} {round}");
        client.execute(change, &[&model, &first, &(first + PAGE - 1), &(series * 50 + round)]).await?;
        list(client, first).await?;
        // Once before, so that both find the page's rows in memory.
        compare(client).await?;
        let started = Instant::now();
        let differing = compare(client).await?;
        let comparing = milliseconds(started);
        let started = Instant::now();
        let changed = promote(client).await?;
        ensure!((differing, changed) == (100, 100), "{differing} rows differed, and {changed} were changed");
        if round > 0 {
            compared.push(comparing);
            promoted.push(milliseconds(started));
        }
    }
    Ok((compared, promoted))
}

async fn list(client: &Client, first: i32) -> Result<()> {
    client.batch_execute("truncate page").await?;
    client.execute("insert into page select listed($1, $2)", &[&first, &(first + PAGE - 1)]).await?;
    Ok(())
}

async fn compare(client: &Client) -> Result<i64> {
    let select = r#"
        select count(*) from page, jsonb_array_elements(page) e
          join pfa_mirror m on m."organizationId" = $1 and m."pfaId" = e->>'pfaId'
         where m.data is distinct from (e - 'version' - 'updatedAt') || '{"hasPlan": true, "hasActuals": false}'"#;
    Ok(client.query_one(select, &[&RIO]).await?.get(0))
}

async fn promote(client: &Client) -> Result<i64> {
    let select = "select pfa_sync_private.promote_records($1, pfa_sync_private.parse_page($1, page), 'benchmark') from page";
    Ok(client.query_one(select, &[&RIO]).await?.get(0))
}

async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(client: &Client, query: &str) -> Result<T> {
    Ok(client.query_one(query, &[]).await?.get(0))
}
