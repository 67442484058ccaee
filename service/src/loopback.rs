//! Which hosts are this machine. Traffic to them can't be read or changed on the way, so it may go without TLS.

use std::net::IpAddr;

use url::{Host, Url};

/// Whether a host name or address is this machine.
pub fn is_loopback_host(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether the host of a URL is this machine.
pub fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_loopback_host(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://127.0.0.1:1", true)]
    #[case("http://[::1]/", true)]
    #[case("http://localhost", true)]
    #[case("http://127.0.0.1.example.com", false)]
    #[case("http://localhost.example.com", false)]
    #[case("http://10.0.0.1", false)]
    fn only_this_machine_is_loopback(#[case] url: &str, #[case] expected: bool) {
        assert_eq!(is_loopback_url(&url.parse().unwrap()), expected);
    }
}
