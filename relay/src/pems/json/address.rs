//! Checks the address of PEMS.

use pfa_service::loopback::is_loopback_url;
use thiserror::Error;
use url::Url;

/// An address that is not acceptable. No message repeats it, since it may hold a password.
#[derive(Debug, Error)]
pub enum AddressError {
    /// Not a URL.
    #[error("pems-url is not a valid URL")]
    Invalid(#[from] url::ParseError),
    /// It holds a user or a password.
    #[error("pems-url holds a user or a password: give them by pems-user and PEMS_PASSWORD")]
    Credentials,
    /// It has a query or a fragment, after which no path can follow.
    #[error("pems-url has a query or a fragment; it ends before /api/pems")]
    Tail,
    /// It is not encrypted.
    #[error("pems-url must be https; plain http is accepted only to this machine, with --allow-plain-http-to-loopback")]
    Unencrypted,
}

/// Parses the base address of PEMS; an error unless the relay may send a password there.
pub fn checked(text: &str, allow_plain_http_to_loopback: bool) -> Result<Url, AddressError> {
    let url = Url::parse(text)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::Tail);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_plain_http_to_loopback && is_loopback_url(&url) => Ok(url),
        _ => Err(AddressError::Unencrypted),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://pems.example/base", false)]
    #[case("http://127.0.0.1:8443", true)]
    #[case("http://[::1]:8443", true)]
    #[case("http://localhost", true)]
    fn accepted(#[case] url: &str, #[case] allow: bool) {
        assert!(checked(url, allow).is_ok());
    }

    #[rstest]
    #[case::plain("http://127.0.0.1:8443", false)]
    #[case::plain_elsewhere("http://pems.example", true)]
    #[case::lookalike("http://127.0.0.1.pems.example", true)]
    #[case::named_like_loopback("http://localhost.pems.example", true)]
    #[case::other_scheme("ftp://pems.example", true)]
    #[case::query("https://pems.example/?tenant=x", false)]
    fn refused(#[case] url: &str, #[case] allow: bool) {
        assert!(checked(url, allow).is_err());
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        let error = checked("https://user:hush@pems.example", false).unwrap_err();
        assert!(matches!(error, AddressError::Credentials) && !error.to_string().contains("hush"));
    }
}
