//! Storing, trying and taking into use.

use std::io::{IsTerminal, Read, stdin};

use anyhow::{Context, Result, bail};
use pfa_service::secret;
use secrecy::{ExposeSecret, SecretString};

use super::{Owner, Session, Source, describe, stored};
use crate::{
    calls::{RelayConfig, System},
    credentials::{Credentials, Kind, Login},
    pems::{
        Failure, FailureKind, Pems,
        json::{Endpoint, JsonPems},
    },
    systems::slots::Slots,
    vault::Sealed,
};

impl Session {
    pub(super) async fn set(&self, owner: &Owner, kind: Kind, user: Option<&str>, source: &Source) -> Result<()> {
        let secret = source.read()?;
        self.replace(owner, Credentials::new(kind, user, secret.clone()), &secret, source.unverified).await
    }

    pub(super) async fn rotate(&self, owner: &Owner, source: &Source) -> Result<()> {
        let config = self.calls.relay_config().await?;
        let organization = self.calls.next_credentials(&owner.pems, owner.organization.as_deref()).await?.organization_id;
        let active = stored(&config, &owner.pems, organization.as_deref()).find(|sealed| sealed.status == "active");
        let active = active.with_context(|| {
            format!("PEMS {} has no credentials in use there; pfa-relay credentials set stores the first ones", owner.pems)
        })?;
        let (kind, user) = (active.kind, active.user_name.clone());
        let secret = source.read()?;
        if self.settings.keys.secret(active).is_ok_and(|used| used.expose_secret() == secret.expose_secret()) {
            bail!("this secret is the one in use already; nothing is changed");
        }
        self.replace(owner, Credentials::new(kind, user.as_deref(), secret.clone()), &secret, source.unverified).await
    }

    /// Stores a secret, tries it once, and takes it into use. One that PEMS does not accept is erased again, and what was in
    /// use before stays in use.
    pub(super) async fn replace(
        &self,
        owner: &Owner,
        credentials: Credentials,
        secret: &SecretString,
        unverified: bool,
    ) -> Result<()> {
        let config = self.calls.relay_config().await?;
        let next = self.calls.next_credentials(&owner.pems, owner.organization.as_deref()).await?;
        let system = self.system(&config, &owner.pems)?;
        let endpoint = self.endpoint(system, credentials.clone())?;
        let fingerprint = endpoint.fingerprints()();
        let address = endpoint.url.to_string();
        let unsealed =
            Sealed::unsealed(&owner.pems, next.organization_id.clone(), &credentials, next.version, &address, fingerprint);
        let sealed = self.settings.keys.seal(unsealed, secret)?;
        let credential_id = self.calls.store_credentials(&sealed).await?;
        if !unverified {
            let organization = organization_to_try(&config, &owner.pems, next.organization_id.as_deref());
            if let Err(error) = self.log_in(system, endpoint, organization).await {
                self.calls.remove_credentials(credential_id).await?;
                return Err(error.context("nothing is changed: what was in use before stays in use"));
            }
        }
        self.calls.activate_credentials(credential_id, !unverified).await?;
        let tried = if unverified { "not tried" } else { "accepted by PEMS" };
        println!(
            "credentials {credential_id} of {} are in use: {}, version {}, {tried}",
            describe(&sealed),
            credentials.kind().words(),
            next.version
        );
        if !config.credentials.iter().any(|other| other.pems == owner.pems && other.status == "active") {
            println!(
                "note: from now on, relays without the key {} do not serve {}; give it to each by pems-credentials-key-file",
                sealed.key_id,
                describe(&sealed)
            );
        }
        Ok(())
    }

    /// `Ok(false)` = PEMS does not accept some, or they can't be opened.
    pub(super) async fn verify(&self, pems: Option<&str>) -> Result<bool> {
        let config = self.calls.relay_config().await?;
        let mut all_accepted = true;
        let wanted = |sealed: &&Sealed| sealed.status == "active" && pems.is_none_or(|pems| sealed.pems == pems);
        let mut found = false;
        for sealed in config.credentials.iter().filter(wanted) {
            found = true;
            match self.try_sealed(&config, sealed).await {
                Ok(()) => {
                    self.calls.record_verification(sealed.credential_id).await?;
                    println!("ok      credentials {} of {}: accepted", sealed.credential_id, describe(sealed));
                }
                Err(error) => {
                    all_accepted = false;
                    println!("FAILED  credentials {} of {}: {error:#}", sealed.credential_id, describe(sealed));
                }
            }
        }
        if !found {
            bail!("no credentials are in use there; pfa-relay credentials list shows those that are stored");
        }
        Ok(all_accepted)
    }

    async fn try_sealed(&self, config: &RelayConfig, sealed: &Sealed) -> Result<()> {
        let system = self.system(config, &sealed.pems)?;
        let (url, _) = self.place(system)?;
        let endpoint = self.endpoint(system, self.settings.keys.open(sealed, &url)?)?;
        self.log_in(system, endpoint, organization_to_try(config, &sealed.pems, sealed.organization_id.as_deref())).await
    }

    /// One login, in a slot of the PEMS. Never repeated: PEMS locks users.
    async fn log_in(&self, system: &System, endpoint: Endpoint, organization: Option<&str>) -> Result<()> {
        let Some(organization) = organization else {
            bail!("no organization has PEMS {}, so that no login can be tried; assign one, or add --unverified", system.pems);
        };
        let slots = Slots::new(self.calls.clone(), &system.pems, std::time::Duration::from_millis(1));
        slots.next().await?;
        JsonPems::new(endpoint)?.health(organization).await.map_err(|failure: Failure| {
            let next_step = match failure.kind {
                FailureKind::Unauthorized => "check the secret, its user and the tenant",
                _ => "repeat the command when PEMS answers, or add --unverified",
            };
            anyhow::anyhow!("PEMS {} did not accept the login: {failure}; {next_step}", system.pems)
        })
    }

    fn system<'a>(&self, config: &'a RelayConfig, pems: &str) -> Result<&'a System> {
        let found = config.systems.iter().find(|system| system.pems == pems);
        found.with_context(|| format!("there is no PEMS {pems}; select * from pfa_sync.pems_systems lists them"))
    }

    fn place(&self, system: &System) -> Result<(String, String)> {
        self.settings.place(&system.pems, system.url.as_deref(), system.tenant.as_deref()).map_err(anyhow::Error::msg)
    }

    fn endpoint(&self, system: &System, credentials: Credentials) -> Result<Endpoint> {
        let (url, tenant) = self.place(system)?;
        Ok(self.settings.endpoint(&url, &tenant, self.settings.request_timeout, Login::of(credentials))?)
    }
}

impl Source {
    /// The secret in the file, or on standard input. Never from an argument, which every user of the machine can read.
    fn read(&self) -> Result<SecretString> {
        if let Some(file) = &self.secret_file {
            return Ok(secret::read(file)?);
        }
        if stdin().is_terminal() {
            eprintln!("Type the secret, then Return and Ctrl-D. It is shown on the screen: a file or a pipe is better.");
        }
        let mut text = String::new();
        stdin().read_to_string(&mut text).context("can't read the secret on standard input")?;
        match text.trim_end_matches(['\r', '\n']) {
            "" => bail!("no secret on standard input; name a file with --secret-file, or pipe it in"),
            secret => Ok(secret.into()),
        }
    }
}

/// The code of an organization by which a login is tried: the one that the credentials are for, else the first of the PEMS.
fn organization_to_try<'a>(config: &'a RelayConfig, pems: &str, organization_id: Option<&str>) -> Option<&'a str> {
    let mut of_pems = config.organizations.iter().filter(|organization| organization.pems == pems);
    match organization_id {
        Some(id) => config.organizations.iter().find(|organization| organization.organization_id == id),
        None => of_pems.next(),
    }
    .map(|organization| organization.code.as_str())
}
