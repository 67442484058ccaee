//! Which addresses of PEMS are acceptable.

use thiserror::Error;
use url::{Host, Url};

/// Why an address is refused. No message repeats the address: it may hold a password.
#[derive(Debug, Error)]
pub enum AddressError {
    /// No URL.
    #[error("pems-url is no URL")]
    Invalid(#[from] url::ParseError),
    /// A user or password in it.
    #[error("pems-url holds a user or a password: give them by pems-user and PEMS_PASSWORD")]
    Credentials,
    /// A query or a fragment, which can't be followed by a path.
    #[error("pems-url has a query or a fragment; it ends before /api/pems")]
    Tail,
    /// Plain HTTP, or something else that is not encrypted.
    #[error("pems-url must be https; plain http is accepted only to this machine, with --allow-plain-http-to-loopback")]
    Plain,
}

/// The base address of PEMS, if the relay may send a password there.
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
        "http" if allow_plain_http_to_loopback && is_loopback(&url) => Ok(url),
        _ => Err(AddressError::Plain),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
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
