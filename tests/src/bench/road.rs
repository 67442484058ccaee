//! How long an edit takes from its commit to PEMS.
use super::Report;
use crate::cluster::Server;
use anyhow::Result;
/// Later.
pub async fn run(_server: &Server, _report: &mut Report) -> Result<()> {
    Ok(())
}
