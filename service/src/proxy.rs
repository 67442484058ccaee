//! Addresses of proxies. Variables such as HTTPS_PROXY are ignored: whom a program trusts with its connections is a setting.

use thiserror::Error;
use url::Url;

/// A text that is not the address of a proxy. The message does not repeat it, since it may hold a password.
#[derive(Debug, Error)]
#[error("{0} must be http://host:port or https://host:port, without user, password and path")]
pub struct ProxyError(&'static str);

/// Parses the value of a setting as the address of a proxy.
pub fn parse(setting: &'static str, text: &str) -> Result<Url, ProxyError> {
    let url = Url::parse(text).map_err(|_| ProxyError(setting))?;
    let plain = matches!(url.scheme(), "http" | "https") && url.has_host() && matches!(url.path(), "" | "/");
    if plain && url.username().is_empty() && url.password().is_none() && url.query().is_none() {
        Ok(url)
    } else {
        Err(ProxyError(setting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_without_credentials() {
        assert!(parse("pems-proxy", "http://proxy.example:3128").is_ok());
        for refused in ["proxy:3128", "http://user:hush@proxy", "socks5://proxy", "http://proxy/path", ""] {
            let message = parse("pems-proxy", refused).unwrap_err().to_string();
            assert!(message.starts_with("pems-proxy") && !message.contains("hush"), "{refused}: {message}");
        }
    }
}
