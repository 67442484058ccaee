//! The field rules of this database, compiled once per backend and version.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use pfa_rules::Rules;
use pgrx::pg_sys::panic::{ErrorReport, ErrorReportable};
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;

struct Compiled {
    /// Start of the client's statement in which the version was last compared.
    checked: pg_sys::TimestampTz,
    version: i64,
    rules: Rc<Rules>,
}

thread_local! {
    static COMPILED: RefCell<Option<Compiled>> = const { RefCell::new(None) };
    /// The query of the version, whose plan is kept: each statement that judges executes it.
    static VERSION: OnceCell<OwnedPreparedStatement> = const { OnceCell::new() };
}

/// The rules in force. Their version is compared once in each statement of the client, since a statement that
/// judges a thousand records asks for them a thousand times.
pub fn current() -> Rc<Rules> {
    // SAFETY: reads a variable of this backend; every SQL function runs inside a statement.
    let statement = unsafe { pg_sys::GetCurrentStatementStartTimestamp() };
    let known =
        COMPILED.with_borrow(|compiled| compiled.as_ref().filter(|c| c.checked == statement).map(|c| Rc::clone(&c.rules)));
    known.unwrap_or_else(|| refreshed(statement))
}

fn refreshed(statement: pg_sys::TimestampTz) -> Rc<Rules> {
    let version = version();
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(c) = compiled.as_mut().filter(|c| c.version == version) {
            c.checked = statement;
            return Rc::clone(&c.rules);
        }
        let rules = compile().map_err(|message| {
            ErrorReport::new(PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR, message, "pfa_sync.rules")
                .set_hint("Correct the row in pfa_sync_private.field_override.")
        });
        let rules = Rc::new(rules.unwrap_or_report());
        *compiled = Some(Compiled { checked: statement, version, rules: Rc::clone(&rules) });
        rules
    })
}

fn version() -> i64 {
    const QUERY: &str = "select version from pfa_sync_private.rules_version";
    let found = Spi::connect(|client| {
        VERSION.with(|kept| {
            let plan = match kept.get() {
                Some(plan) => plan,
                None => {
                    let plan = client.prepare(QUERY, &[])?.keep();
                    kept.get_or_init(|| plan)
                }
            };
            client.select(plan, Some(1), &[])?.first().get_one()
        })
    });
    found.unwrap_or_report().unwrap_or_else(|| error!("no rules found: {QUERY}"))
}

fn compile() -> Result<Rules, String> {
    let rows = one::<String>("select pg_catalog.jsonb_agg(r)::text from pfa_sync.field_rules r");
    Rules::from_json(&rows).map_err(|error| format!("the field rules can't be compiled: {error}"))
}

/// Why the field rules as they are now can't be compiled. Declared in `sql/install/core/field_rules.sql`.
#[pg_extern(sql = false)]
fn rules_fault() -> Option<String> {
    compile().err()
}

fn one<T: FromDatum + IntoDatum>(query: &str) -> T {
    Spi::get_one::<T>(query).unwrap_or_report().unwrap_or_else(|| error!("no rules found: {query}"))
}
