//! How long an edit takes from its commit to PEMS.
use anyhow::Result;
use super::Report;
use crate::cluster::Server;
/// Later.
pub async fn run(_server: &Server, _report: &mut Report) -> Result<()> { Ok(()) }
