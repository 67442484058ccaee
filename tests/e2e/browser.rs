//! The dashboard: how its files are served, and its tests in a browser against the whole stack.

use std::env;

use anyhow::{Context, Result, ensure};
use reqwest::{Response, StatusCode};
use testbed::cluster::Login;
use testbed::process::program;
use tokio::process::Command;

use crate::support::api::{Api, SECRET, problem};
use crate::support::scenario::Scenario;
use crate::support::stack::Stack;

const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../api/web");

/// Records of RIO in PEMS and mirror, and of HARBOUR in the mirror alone: as many as an organization has.
const RECORDS: usize = 420;
const MANY: &str = r#"
    insert into pfa_mirror (id, "organizationId", "pfaId", data, category, source, "monthlyRate", "pemsVersion", "updatedAt")
    select 'mir_many_' || n, 'org_HARBOUR_7', lpad(n::text, 6, '0'),
           jsonb_build_object('pfaId', lpad(n::text, 6, '0'), 'organization', 'HARBOUR', 'category', 'Crane', 'class', 'Mobile Crane',
               'source', 'Rental', 'dor', 'BEO', 'monthlyRate', 5000 + n % 4000, 'forecastStart', '2026-01-01T00:00:00.000Z',
               'forecastEnd', '2026-12-31T00:00:00.000Z', 'isActualized', false, 'isDiscontinued', false),
           'Crane', 'Rental', 5000 + n % 4000, '1', now() at time zone 'utc'
      from generate_series(1, 60000) n"#;

#[tokio::test]
async fn its_page_stands_at_every_address_that_a_browser_opens_and_its_files_are_kept_by_their_hash() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &["--sign-in-url", "https://pfa.example.com/sign-in?a=1&b=2"]).await?;
    let open = async |path: &str, accept: &str| -> Result<Response> {
        Ok(api.request("GET", path, None).header("accept", accept).send().await?)
    };
    for path in ["/", "/conflicts", "/records/4711?org=RIO"] {
        let page = open(path, "text/html,*/*").await?.error_for_status()?;
        assert_eq!(page.headers()["cache-control"], "no-cache");
        let policy = page.headers()["content-security-policy"].to_str()?;
        assert!(policy.contains("script-src 'self';") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let tag = page.headers()["etag"].clone();
        let again = api.request("GET", path, None).header("accept", "text/html").header("if-none-match", tag).send().await?;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }
    for (path, accept) in [
        ("/conflicts", "application/json"),
        ("/assets/index-00000000.js", "text/html"),
        ("/api/nothing", "text/html"),
        ("/index.html", "*/*"),
    ] {
        assert_eq!(problem(open(path, accept).await?).await?.0, 404, "{path} as {accept}");
    }
    assert_eq!(problem(api.request("POST", "/", None).header("accept", "text/html").send().await?).await?.0, 404);

    let page = open("/", "text/html").await?.text().await?;
    if page.contains("make web") {
        return Ok(());
    }
    assert!(page.contains("content=\"https://pfa.example.com/sign-in?a=1&amp;b=2\""), "{page}");
    assert!(
        !page.contains("<style") && !page.replace("<script type=\"module\"", "").contains("<script"),
        "inline code in {page}"
    );
    let assets: Vec<&str> = page.split('"').filter(|text| text.starts_with("/assets/")).collect();
    ensure!(!assets.is_empty(), "the page loads no asset: {page}");
    for asset in assets {
        for coding in ["br", "gzip"] {
            let answer = api.request("GET", asset, None).header("accept-encoding", coding).send().await?.error_for_status()?;
            assert_eq!(answer.headers()["content-encoding"], coding);
            assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
            assert_eq!(answer.headers()["vary"], "Accept-Encoding");
        }
        let plain = open(asset, "*/*").await?.error_for_status()?;
        assert!(plain.headers().get("content-encoding").is_none());
        let tag = plain.headers()["etag"].clone();
        assert_eq!(api.request("GET", asset, None).header("if-none-match", tag).send().await?.status(), StatusCode::NOT_MODIFIED);
    }
    Ok(())
}

/// The stories of api/web/browser. They start and stop services of their own, next to this relay and this PEMS.
#[tokio::test]
async fn it_works_in_a_browser() -> Result<()> {
    let stack = Stack::new(RECORDS).await?;
    stack.scenario.client.batch_execute(MANY).await?;
    // A failure is one at the first attempt, and an outage that the tests make ends soon.
    stack.scenario.client.batch_execute("select pfa_sync.set('instance_name', 'Browser tests'); analyze").await?;
    let relay = stack.relay("run")?;
    let npm = env::var("NPM").unwrap_or_else(|_| "npm".to_owned());
    let status = Command::new(&npm)
        .args(["run", "--silent", "browser"])
        .current_dir(WEB)
        .env("PFA_API", program("pfa-api")?)
        .env("PFA_API_DATABASE_URL", stack.scenario.database.url_as(Login::Api))
        .env("PFA_API_SECRET", SECRET)
        .env("PEMS_URL", stack.pems.url())
        .env("PEMS_CA_PEM", stack.pems.ca_pem())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("{npm} is needed for the tests in a browser; api/web/README.md says what else"))?;
    ensure!(status.success(), "the tests in a browser ended with {status}");
    relay.stop().await?;
    stack.check().await
}
