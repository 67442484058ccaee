//! The public keys that sign tokens, as published in a set (JWKS).
//!
//! One task fetches them: at the start, every [`MAX_AGE`], and when a token is signed by none of them, but not more often
//! than once in [`MIN_AGE`]. A token of a known key never waits for it.

use std::{
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk},
};
use reqwest::{Client, Proxy, redirect::Policy};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::warn;
use url::Url;

/// How long fetched keys are used before they are fetched again.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Shortest time from the end of a fetch to the next one, whatever keys the tokens name.
const MIN_AGE: Duration = Duration::from_secs(10);

/// Longest duration of a fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest set that is accepted, in bytes.
const MAX_SET_SIZE: usize = 256 << 10;

/// Most keys of a set. A token without a key id is checked by each key of its algorithm.
const MAX_KEYS: usize = 50;

/// Where a set of public keys (JWKS) is read.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    File(PathBuf),
    Address { url: Url, proxy: Option<Url> },
}

/// A published key, with the one algorithm that it is accepted for.
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The keys as they were fetched last.
pub(super) struct PublishedKeys {
    fetched: watch::Receiver<Fetched>,
    wanted: Arc<Notify>,
}

/// What is known after a number of fetches.
#[derive(Clone, Default)]
struct Fetched {
    keys: Arc<[Key]>,
    /// Fetches that have ended, whether or not they succeeded.
    fetches: u64,
    /// When the last one ended; `None` during a fetch.
    ended: Option<Instant>,
}

impl PublishedKeys {
    /// Starts the task that fetches the keys. It ends when this value is dropped.
    pub(super) fn new(source: Source) -> Result<Self> {
        let client = client(&source)?;
        let (sender, fetched) = watch::channel(Fetched::default());
        let wanted = Arc::new(Notify::new());
        tokio::spawn(keep_current(source, client, sender, Arc::downgrade(&wanted)));
        Ok(Self { fetched, wanted })
    }

    /// The known keys.
    pub(super) fn known(&self) -> Arc<[Key]> {
        self.fetched.borrow().keys.clone()
    }

    /// The keys after a fetch, for a token that no known key has signed: the key may be new, or may have replaced another
    /// one. `None` if the last fetch ended a short time ago.
    pub(super) async fn newer(&self) -> Option<Arc<[Key]>> {
        let mut fetched = self.fetched.clone();
        let Fetched { fetches, ended, .. } = fetched.borrow_and_update().clone();
        if ended.is_some_and(|ended| ended.elapsed() < MIN_AGE) {
            return None;
        }
        if ended.is_some() {
            self.wanted.notify_one();
        }
        let next = timeout(FETCH_TIMEOUT * 2, fetched.wait_for(|now| now.fetches > fetches)).await;
        Some(next.ok()?.ok()?.keys.clone())
    }
}

/// How many usable keys a set has now.
pub(crate) async fn count(source: &Source) -> Result<usize> {
    let keys = timeout(FETCH_TIMEOUT, fetch(source, &client(source)?)).await;
    Ok(keys.with_context(|| format!("no answer within {} s", FETCH_TIMEOUT.as_secs()))??.len())
}

/// A client for the keys. Variables such as HTTP_PROXY name no party that keys may come from.
fn client(source: &Source) -> Result<Client> {
    let mut client = Client::builder().timeout(FETCH_TIMEOUT).redirect(Policy::none()).no_proxy();
    if let Source::Address { proxy: Some(proxy), .. } = source {
        client = client.proxy(Proxy::https(proxy.clone())?);
    }
    Ok(client.build()?)
}

/// Fetches the keys, one fetch at a time. If a fetch fails, the known keys stay in use.
async fn keep_current(source: Source, client: Client, fetched: watch::Sender<Fetched>, wanted: Weak<Notify>) {
    loop {
        let answer = match timeout(FETCH_TIMEOUT, fetch(&source, &client)).await {
            Ok(answer) => answer,
            Err(_) => Err(anyhow::anyhow!("no answer within {} s", FETCH_TIMEOUT.as_secs())),
        };
        if let Err(error) = &answer {
            warn!(error = format!("{error:#}"), "can't fetch the keys that sign tokens");
        }
        let now = Instant::now();
        let next = now + if answer.is_ok() { MAX_AGE } else { MIN_AGE };
        fetched.send_modify(|fetched| {
            fetched.keys = answer.map_or_else(|_| fetched.keys.clone(), Into::into);
            fetched.fetches += 1;
            fetched.ended = Some(now);
        });
        sleep_until(now + MIN_AGE).await;
        let Some(wanted) = wanted.upgrade() else { return };
        tokio::select! {
            () = wanted.notified() => {}
            () = sleep_until(next) => {}
        }
        fetched.send_modify(|fetched| fetched.ended = None);
    }
}

async fn fetch(source: &Source, client: &Client) -> Result<Vec<Key>> {
    let mut text = Vec::new();
    match source {
        Source::File(file) => {
            let opened = tokio::fs::File::open(file).await.with_context(|| format!("can't read {}", file.display()))?;
            opened.take(MAX_SET_SIZE as u64 + 1).read_to_end(&mut text).await?;
        }
        Source::Address { url, .. } => {
            let mut answer = client.get(url.clone()).send().await?.error_for_status()?;
            while let Some(chunk) = answer.chunk().await? {
                text.extend_from_slice(&chunk);
                ensure!(text.len() <= MAX_SET_SIZE, "the set of keys is longer than {MAX_SET_SIZE} bytes");
            }
        }
    };
    read_set(&text)
}

/// The usable keys of a set. Others, such as secrets and kinds that are not known, are skipped.
pub(super) fn read_set(text: &[u8]) -> Result<Vec<Key>> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }

    ensure!(text.len() <= MAX_SET_SIZE, "the set of keys is longer than {MAX_SET_SIZE} bytes");
    let Set { keys } = serde_json::from_slice(text).context("not a set of keys (JWKS)")?;
    ensure!(keys.len() <= MAX_KEYS, "the set has {} keys, of which {MAX_KEYS} are accepted", keys.len());
    let keys: Vec<_> = keys.into_iter().filter_map(|key| usable(&serde_json::from_value(key).ok()?)).collect();
    ensure!(!keys.is_empty(), "the set has no key of RS256 or ES256");
    Ok(keys)
}

/// A key with the one algorithm that its kind is accepted for; `None` for secrets and other kinds.
fn usable(jwk: &Jwk) -> Option<Key> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    Some(Key { id: jwk.common.key_id.clone(), algorithm, key: DecodingKey::from_jwk(jwk).ok()? })
}
