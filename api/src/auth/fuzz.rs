//! Whatever bytes come as a token, or as a set of keys.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

use super::{
    header,
    keys::read_set,
    token::{Rules, Verifier},
};

const SECRET: &str = "a secret of the tests, thirty-two bytes long";

fn verifier() -> Verifier {
    Verifier::new(Rules { secret: Some(SECRET.into()), keys: None, issuer: None, audience: None }).expect("rules that hold")
}

/// A token of these parts, signed by the secret.
fn signed(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    format!("{message}.{}", crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("a signature"))
}

fn holder(token: &str) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(verifier().holder(token)).ok().map(|holder| holder.user)
}

const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT","kid":"a"}"#;
const CLAIMS: &[u8] = br#"{"userId":"usr_editor","exp":4800000000,"nbf":1,"iss":"https://login.example.com","aud":["a","b"]}"#;

#[test]
fn any_bytes_as_a_token_are_accepted_only_if_they_are_signed() {
    let token = signed(HEADER, CLAIMS);
    assert_eq!(holder(&token).as_deref(), Some("usr_editor"));
    pfa_fuzz::run("token", &[token.as_bytes()], |bytes| {
        let text = String::from_utf8_lossy(bytes);
        assert!(holder(&text).is_none() || *text == token, "{text}");
    });
}

#[test]
fn any_signed_header_and_claims_are_accepted_or_refused() {
    let seeds: [&[u8]; 3] =
        [HEADER, br#"{"alg":"HS256","crit":["b64"],"b64":false}"#, br#"{"alg":"ES256","jwk":{"kty":"EC","crv":"P-256"}}"#];
    pfa_fuzz::run("token-header", &seeds, |bytes| {
        let token = signed(bytes, CLAIMS);
        if holder(&token).is_some() {
            let header: serde_json::Value = serde_json::from_slice(bytes).expect("a header that was understood");
            assert!(header["alg"] == "HS256" && header.get("crit").is_none() && header.get("b64").is_none());
        }
        header::is_understood(&String::from_utf8_lossy(bytes));
    });
    pfa_fuzz::run("token-claims", &[CLAIMS, br#"{"userId":"u","exp":1e10}"#], |bytes| {
        if let Some(user) = holder(&signed(HEADER, bytes)) {
            assert!(!user.is_empty() && !user.chars().any(char::is_control));
        }
    });
}

#[test]
fn any_bytes_as_a_set_of_keys_are_keys_or_refused() {
    let set: &[u8] = br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},{"kty":"RSA","kid":"b","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs","e":"AQAB"},
        {"kty":"oct","k":"AAAA"},{"kty":"of another kind"}]}"#;
    assert_eq!(read_set(set).expect("a set").len(), 2);
    pfa_fuzz::run("key-set", &[set], |bytes| {
        if let Ok(keys) = read_set(bytes) {
            assert!(keys.iter().all(|key| [Algorithm::RS256, Algorithm::ES256].contains(&key.algorithm)));
        }
    });
}
