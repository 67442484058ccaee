//! A certificate authority of the simulator's own, and the server certificate that it signs.

use std::sync::Arc;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::PrivateKeyDer;

/// What a server on loopback needs, and what its clients need to trust it.
pub struct Identity {
    /// The authority's certificate, for clients.
    pub ca_pem: String,
    /// The server's side.
    pub server: Arc<ServerConfig>,
}

/// The name by which a proxy reaches the simulator.
pub const NAME: &str = "pems.example";

/// A new authority and a certificate of it for `localhost`, 127.0.0.1 and [`NAME`].
pub fn identity() -> Result<Identity> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(DnType::CommonName, "PEMS simulator");
    let authority_key = KeyPair::generate()?;
    let ca_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let server = CertificateParams::new(["localhost", "127.0.0.1", NAME].map(str::to_owned))?.signed_by(&key, &issuer)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity { ca_pem, server: Arc::new(config) })
}
