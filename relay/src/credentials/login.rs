//! Credentials that can be replaced while the relay runs.

use std::sync::{Arc, Mutex, PoisonError};

use super::{CredentialSettings, Credentials, CredentialsError};

/// Credentials that follow their file: a secret that is replaced there is used without a restart. Clones share them.
#[derive(Clone, Debug)]
pub struct Login {
    /// Where they are read again; `None` = they never change.
    settings: Option<Arc<CredentialSettings>>,
    current: Arc<Mutex<(Credentials, Option<String>)>>,
}

impl Login {
    /// Finds the credentials named by settings and environment.
    pub fn find(settings: &CredentialSettings) -> Result<Self, CredentialsError> {
        let current = Credentials::find(settings, variable)?;
        Ok(Self { settings: Some(Arc::new(settings.clone())), current: Arc::new(Mutex::new((current, None))) })
    }

    /// Credentials that stay as they are.
    pub fn of(credentials: Credentials) -> Self {
        Self { settings: None, current: Arc::new(Mutex::new((credentials, None))) }
    }

    /// The credentials as last read.
    pub fn current(&self) -> Credentials {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Reads the file again, and returns the credentials. A file that can't be read, as while it is being replaced, changes
    /// nothing.
    pub fn reread(&self) -> Credentials {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.settings.as_ref().map(|settings| Credentials::find(settings, variable));
        if let Some(Ok(read)) = read.filter(|read| read.as_ref().is_ok_and(|read| *read != current.0)) {
            *current = (read, None);
        }
        current.0.clone()
    }

    /// The fingerprint of the credentials that stand in the file now; see [`Credentials::fingerprint`].
    pub fn fingerprint(&self, endpoint: &[&str]) -> String {
        let read = self.reread();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != read {
            return read.fingerprint(endpoint);
        }
        current.1.get_or_insert_with(|| read.fingerprint(endpoint)).clone()
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_follows_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old\n").unwrap();
        let settings = CredentialSettings {
            pems_user: None,
            pems_password_file: None,
            pems_bearer_token_file: Some(file.path().to_owned()),
            pems_api_key_file: None,
        };
        let login = Login::find(&settings).unwrap();
        let (credentials, fingerprint) = (login.current(), login.fingerprint(&["pems"]));
        std::fs::write(file.path(), "").unwrap();
        assert_eq!((login.reread(), login.fingerprint(&["pems"])), (credentials.clone(), fingerprint.clone()));
        std::fs::write(file.path(), "new").unwrap();
        assert_ne!(login.reread(), credentials);
        assert_ne!(login.fingerprint(&["pems"]), fingerprint);
    }
}
