//! Tokens: signed by the secret, or by public keys from a file or from an address, while keys are rotated.

use std::fs;

use anyhow::{Context, Result};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::api::{Api, SECRET, now, problem, signed, token};
use crate::support::scenario::Scenario;

/// A key pair and its name.
struct Signer {
    algorithm: Algorithm,
    id: &'static str,
    key: EncodingKey,
}

impl Signer {
    fn es256(id: &'static str) -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Self { algorithm: Algorithm::ES256, id, key: EncodingKey::from_ec_der(&pair.serialize_der()) })
    }

    fn rs256(id: &'static str) -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256)?.serialize_der();
        // Inside of PKCS #8, behind a head of 26 bytes.
        let inner = pair.get(26..).filter(|inner| inner[0] == 0x30).context("PKCS #1 within PKCS #8")?;
        Ok(Self { algorithm: Algorithm::RS256, id, key: EncodingKey::from_rsa_der(inner) })
    }

    fn public(&self) -> Result<Value> {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm)?;
        jwk.common.key_id = Some(self.id.to_owned());
        Ok(serde_json::to_value(jwk)?)
    }

    fn token(&self, claims: &Value) -> Result<String> {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        Ok(encode(&header, claims, &self.key)?)
    }
}

async fn status(api: &Api, token: &str) -> Result<u16> {
    Ok(api.request("GET", "/api/pems/settings", None).bearer_auth(token).send().await?.status().as_u16())
}

fn claims() -> Value {
    json!({"userId": "usr_viewer", "exp": now() + 60, "iss": "https://login.example.com", "aud": "pfa-vanguard"})
}

#[tokio::test]
async fn published_keys_let_in_whom_they_sign_and_nobody_else() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let (rsa, elliptic, foreign) = (Signer::rs256("a")?, Signer::es256("b")?, Signer::es256("b")?);
    let file = NamedTempFile::new()?;
    let secret = json!({"kty": "oct", "kid": "c", "k": "YSBzZWNyZXQgb2YgdGhlIHRlc3RzLCB0aGlydHktdHdvIGJ5dGVzIGxvbmc"});
    fs::write(file.path(), json!({"keys": [rsa.public()?, elliptic.public()?, secret]}).to_string())?;
    let path = file.path().to_str().context("a path")?;
    let rules = ["--jwks-file", path, "--jwt-issuer", "https://login.example.com", "--jwt-audience", "pfa-vanguard"];
    let api = Api::start(&scenario, &rules).await?;
    for signer in [&rsa, &elliptic] {
        assert_eq!(status(&api, &signer.token(&claims())?).await?, 200, "{:?}", signer.algorithm);
        for (claim, value) in [
            ("exp", json!(now() - 1)),
            ("iss", json!("https://evil.example.com")),
            ("aud", json!("another application")),
            ("iss", Value::Null),
            ("aud", Value::Null),
        ] {
            let mut wrong = claims();
            wrong[claim] = value;
            if wrong[claim].is_null() {
                wrong.as_object_mut().context("claims")?.remove(claim);
            }
            assert_eq!(status(&api, &signer.token(&wrong)?).await?, 401, "{:?} with {}", signer.algorithm, wrong);
        }
    }
    assert_eq!(status(&api, &foreign.token(&claims())?).await?, 401, "another key under a known name");
    // What everybody can read signs nothing.
    let public = elliptic.public()?.to_string();
    assert_eq!(status(&api, &signed(Algorithm::HS256, &public, &claims())).await?, 401);
    Ok(())
}

/// Serves whatever set is in a file.
async fn publish(file: std::path::PathBuf) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/jwks.json", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let set = fs::read_to_string(&file).unwrap_or_default();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{set}", set.len());
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    Ok(address)
}

#[tokio::test]
async fn keys_are_fetched_and_one_that_is_new_is_found() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let (old, new) = (Signer::es256("old")?, Signer::es256("new")?);
    let file = NamedTempFile::new()?;
    fs::write(file.path(), json!({"keys": [old.public()?]}).to_string())?;
    let address = publish(file.path().to_owned()).await?;
    let api = Api::start(&scenario, &["--jwks-url", &address]).await?;
    assert_eq!(status(&api, &old.token(&claims())?).await?, 200);
    assert_eq!(status(&api, &new.token(&claims())?).await?, 401);
    fs::write(file.path(), json!({"keys": [new.public()?]}).to_string())?;
    let rotated = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while status(&api, &new.token(&claims())?).await? != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
        anyhow::Ok(())
    });
    rotated.await??;
    assert_eq!(status(&api, &old.token(&claims())?).await?, 401, "the old one is gone");
    Ok(())
}

#[tokio::test]
async fn an_address_that_others_can_read_is_refused() -> Result<()> {
    let scenario = Scenario::empty().await?;
    for url in ["http://login.example.com/jwks.json", "ftp://localhost/jwks.json"] {
        assert!(Api::start(&scenario, &["--jwks-url", url]).await.is_err(), "{url}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_counts_only_if_it_is_signed_of_the_one_algorithm_and_in_force() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &[]).await?;
    let good = json!({"userId": "usr_admin", "exp": now() + 60});
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJ1c2VySWQiOiJ1c3JfYWRtaW4iLCJleHAiOjQ4MDAwMDAwMDB9.".to_owned();
    for (what, header) in [
        ("expired", format!("Bearer {}", token(&json!({"userId": "usr_admin", "exp": now() - 1})))),
        ("without an end", format!("Bearer {}", token(&json!({"userId": "usr_admin"})))),
        ("not yet in force", format!("Bearer {}", token(&json!({"userId": "usr_admin", "exp": now() + 60, "nbf": now() + 30})))),
        ("without a user", format!("Bearer {}", token(&json!({"userId": "", "exp": now() + 60})))),
        (
            "of another secret",
            format!("Bearer {}", signed(Algorithm::HS256, "another secret of more than thirty-two bytes", &good)),
        ),
        ("of another algorithm", format!("Bearer {}", signed(Algorithm::HS512, SECRET, &good))),
        ("unsigned", format!("Bearer {unsigned}")),
        ("no token", "Bearer x".to_owned()),
        ("another scheme", format!("Basic {}", token(&good))),
    ] {
        let answer = api.request("GET", "/api/pems/settings", None).header("authorization", header).send().await?;
        assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{what}");
        assert_eq!(problem(answer).await?.0, 401, "{what}");
    }
    let admitted =
        api.request("GET", "/api/pems/settings", None).header("authorization", format!("bearer {}", token(&good))).send().await?;
    assert_eq!(admitted.status(), 200);
    Ok(())
}
