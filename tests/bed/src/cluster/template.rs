//! The databases that new ones are copied from.

use anyhow::Result;
use tokio_postgres::Client;

use super::server::{Login, Server};

/// Creates the group roles; runs before everything else in a cluster.
pub const ROLES: &str = include_str!("../../../../sql/roles.sql");
/// Creates the application's own tables in an empty database.
pub const APPLICATION_SCHEMA: &str = include_str!("../../../../sql/sample/schema.sql");
/// Fills them with two organizations and their users.
pub const SAMPLE: &str = include_str!("../../../../sql/sample/sample.sql");

/// What a new database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// Nothing: for restores and for other set-ups.
    Empty,
    /// The application's tables with the sample organizations and users, and the extension, not attached.
    Installed,
    /// The same, attached, every organization resumed and read by relays.
    Attached,
}

impl Template {
    pub(super) fn database(self) -> &'static str {
        match self {
            Self::Empty => "template0",
            Self::Installed => "template_installed",
            Self::Attached => "template_attached",
        }
    }
}

impl Server {
    /// Creates roles, logins and templates in a new cluster, before the first [`Database`](super::Database) is made.
    pub async fn build_templates(&self) -> Result<()> {
        let admin = self.connect("postgres").await?;
        admin.batch_execute(ROLES).await?;
        for login in Login::ALL {
            let (name, group) = (login.name(), login.group());
            admin.batch_execute(&format!("create role {name} login password '{}' in role {group}", self.password())).await?;
        }
        let installed = self.new_template(&admin, Template::Empty, Template::Installed).await?;
        installed.batch_execute(APPLICATION_SCHEMA).await?;
        installed.batch_execute(SAMPLE).await?;
        installed
            .batch_execute(
                "grant select, insert, update, delete on all tables in schema public to pfa_sync_application; \
                 create extension pfa_sync",
            )
            .await?;
        close(&admin, installed, Template::Installed).await?;

        let attached = self.new_template(&admin, Template::Installed, Template::Attached).await?;
        // Not by set(), so that the log of a test begins with the test.
        let choose =
            "insert into pfa_sync_private.setting_value (name, value, changed_by) values ('inbound', 'relay', 'template')";
        attached.batch_execute(&format!("select pfa_sync.attach(); {choose}; select pfa_sync.resume()")).await?;
        close(&admin, attached, Template::Attached).await
    }

    async fn new_template(&self, admin: &Client, from: Template, template: Template) -> Result<Client> {
        admin.batch_execute(&format!("create database {} template {}", template.database(), from.database())).await?;
        self.connect(template.database()).await
    }
}

/// A template with a session in it can't be copied: so none may be left, and none may come.
async fn close(admin: &Client, session: Client, template: Template) -> Result<()> {
    drop(session);
    admin.batch_execute(&format!("alter database {} with allow_connections false", template.database())).await?;
    Ok(())
}
