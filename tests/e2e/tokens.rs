//! Tokens: signed by the secret, or by public keys from a file or from an address, while keys are rotated.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::api::{Api, SECRET, now, problem, signed, token};
use crate::support::scenario::Scenario;
use crate::support::signer::Signer;

async fn status(api: &Api, token: &str) -> Result<u16> {
    Ok(api.request("GET", "/api/pems/settings", None).bearer_auth(token).send().await?.status().as_u16())
}

fn claims() -> Value {
    json!({"userId": "usr_viewer", "exp": now() + 60, "iss": "https://login.example.com", "aud": "pfa-vanguard"})
}

#[tokio::test]
async fn published_keys_admit_the_tokens_that_they_sign_and_no_others() -> Result<()> {
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
            ("exp", json!(now() - 30)),
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
    let rotated = tokio::time::timeout(Duration::from_secs(60), async {
        while status(&api, &new.token(&claims())?).await? != 200 {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        anyhow::Ok(())
    });
    rotated.await??;
    assert_eq!(status(&api, &old.token(&claims())?).await?, 401, "the old one is gone");
    Ok(())
}

/// Keys of another machine are requested through the proxy that the settings name, by CONNECT.
#[tokio::test]
async fn keys_are_requested_through_the_proxy_of_the_settings() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let proxy = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", proxy.local_addr()?);
    let _api = Api::start(&scenario, &["--jwks-url", "https://login.example.com/jwks.json", "--jwks-proxy", &address]).await?;
    let (mut connection, _) = timeout(Duration::from_secs(20), proxy.accept()).await??;
    let mut line = [0; 33];
    timeout(Duration::from_secs(20), connection.read_exact(&mut line)).await??;
    assert_eq!(&line, b"CONNECT login.example.com:443 HTT");
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
        ("expired", format!("Bearer {}", token(&json!({"userId": "usr_admin", "exp": now() - 30})))),
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
        let challenge = answer.headers()["www-authenticate"].to_str()?;
        assert!(challenge.starts_with(r#"Bearer error="invalid_token", error_description=""#), "{what}: {challenge}");
        assert_eq!(problem(answer).await?.0, 401, "{what}");
    }
    // NumericDates may have a fraction, and the clock of the issuer may differ by seconds.
    for dates in [json!({"exp": 4_800_000_000.5_f64}), json!({"exp": now() + 60, "nbf": now() + 2}), json!({"exp": now() - 1})] {
        let mut claims = good.clone();
        claims.as_object_mut().context("claims")?.extend(dates.as_object().cloned().context("dates")?);
        assert_eq!(status(&api, &token(&claims)).await?, 200, "{claims}");
    }
    let admitted =
        api.request("GET", "/api/pems/settings", None).header("authorization", format!("bearer {}", token(&good))).send().await?;
    assert_eq!(admitted.status(), 200);
    Ok(())
}

/// A token of the tests' secret whose header and claims are these texts.
fn signed_text(header: &str, claims: &str) -> Result<String> {
    let message = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(SECRET.as_bytes()), Algorithm::HS256)?;
    Ok(format!("{message}.{signature}"))
}

/// RFC 7515: an extension that is marked as critical and not known refuses the token; a parameter occurs once. What a
/// header says about keys is not used.
#[tokio::test]
async fn a_token_that_asks_for_unknown_rules_is_refused() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let api = Api::start(&scenario, &[]).await?;
    let good = json!({"userId": "usr_admin", "exp": now() + 60}).to_string();
    let jwk = Signer::es256("x")?.public()?;
    for (expected, header) in [
        (200, r#"{"alg":"HS256"}"#.to_owned()),
        (200, r#"{"alg":"HS256","typ":"at+jwt"}"#.to_owned()),
        (
            200,
            r#"{"alg":"HS256","jku":"https://evil.example/keys","x5u":"https://evil.example/x","x5t":"x","kid":"y"}"#.to_owned(),
        ),
        (200, json!({"alg": "HS256", "jwk": jwk}).to_string()),
        (200, r#"{"alg":"HS256","unknown":{"a":[1,2]}}"#.to_owned()),
        (401, r#"{"alg":"HS256","crit":["exp"]}"#.to_owned()),
        (401, r#"{"alg":"HS256","crit":["b64"],"b64":false}"#.to_owned()),
        (401, r#"{"alg":"HS256","crit":[]}"#.to_owned()),
        (401, r#"{"alg":"HS256","crit":null}"#.to_owned()),
        (401, r#"{"alg":"HS256","cr\u0069t":["exp"]}"#.to_owned()),
        (401, r#"{"alg":"HS256","b64":false}"#.to_owned()),
        (401, r#"{"alg":"HS256","alg":"HS256"}"#.to_owned()),
        (401, r#"{"alg":"none","alg":"HS256"}"#.to_owned()),
        (401, r#"{"alg":"HS256","unknown":1,"unknown":2}"#.to_owned()),
        (401, r#"{"alg":"RS256"}"#.to_owned()),
        (401, r#"{"alg":["HS256"]}"#.to_owned()),
        (401, r#"["HS256"]"#.to_owned()),
    ] {
        assert_eq!(status(&api, &signed_text(&header, &good)?).await?, expected, "{header}");
    }
    let header = r#"{"alg":"HS256"}"#;
    let exp = now() + 60;
    for (expected, claims) in [
        (200, format!(r#"{{"userId":"usr_admin","exp":{exp},"unknown":[1]}}"#)),
        (401, format!(r#"{{"userId":"usr_viewer","userId":"usr_admin","exp":{exp}}}"#)),
        (401, format!(r#"{{"userId":"usr_admin","exp":1,"exp":{exp}}}"#)),
        (401, format!(r#"{{"userId":"usr_admin","exp":{exp},"nbf":1,"nbf":2}}"#)),
        (401, format!(r#"{{"userId":"usr\u0001admin","exp":{exp}}}"#)),
    ] {
        assert_eq!(status(&api, &signed_text(header, &claims)?).await?, expected, "{claims}");
    }
    Ok(())
}

/// While the keys are fetched for a token of an unknown key, tokens of known keys are checked by the known keys.
#[tokio::test]
async fn a_slow_key_server_delays_no_token_of_a_known_key() -> Result<()> {
    let scenario = Scenario::empty().await?;
    let (known, unknown) = (Signer::es256("known")?, Signer::es256("unknown")?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}/jwks.json", listener.local_addr()?);
    let set = json!({"keys": [known.public()?]}).to_string();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{set}", set.len());
    let first_fetch = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await?;
        assert!(connection.read(&mut [0; 4096]).await? > 0);
        connection.write_all(answer.as_bytes()).await?;
        anyhow::Ok(listener)
    });
    let api = Api::start(&scenario, &["--jwks-url", &address, "--rate-limit", "1000"]).await?;
    assert_eq!(status(&api, &known.token(&claims())?).await?, 200);
    let listener = first_fetch.await??;
    let mut before = Vec::new();
    for _ in 0..100 {
        let started = Instant::now();
        assert_eq!(status(&api, &known.token(&claims())?).await?, 200);
        before.push(started.elapsed());
    }

    // Unknown keys lead to a fetch, at most once in some seconds. It stays without an answer.
    let unknown_token = unknown.token(&claims())?;
    let fetch = async {
        let mut tries = tokio::task::JoinSet::new();
        let junk = async {
            loop {
                let request = api.request("GET", "/api/pems/settings", None).bearer_auth(&unknown_token);
                tries.spawn(request.send());
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        tokio::select! {
            accepted = listener.accept() => anyhow::Ok(accepted?.0),
            () = junk => unreachable!("it does not end"),
        }
    };
    let mut fetch = tokio::time::timeout(Duration::from_secs(60), fetch).await??;
    assert!(fetch.read(&mut [0; 4096]).await? > 0);
    let mut junk = Vec::new();
    for _ in 0..40 {
        junk.push(tokio::spawn(api.request("GET", "/api/pems/settings", None).bearer_auth(&unknown_token).send()));
    }
    let mut during = Vec::new();
    let given_up = async { fetch.read(&mut [0; 16]).await };
    let answers = async {
        for _ in 0..100 {
            let started = Instant::now();
            assert_eq!(status(&api, &known.token(&claims())?).await?, 200);
            during.push(started.elapsed());
        }
        anyhow::Ok(())
    };
    tokio::select! {
        answered = answers => answered?,
        _ = given_up => panic!("tokens of a known key wait for the key server"),
    }
    let another = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(another.is_err(), "one fetch at a time");
    before.sort();
    during.sort();
    println!("the 99th of 100 answers: {:?} before, {:?} during a fetch", before[98], during[98]);
    Ok(())
}
