//! The header of a token (RFC 7515), as far as it may change how the rest is to be read.

use std::{collections::HashSet, fmt};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

/// Longest token that is read, in bytes.
const MAX_TOKEN: usize = 8 << 10;

/// Whether the header of a token asks for nothing that this service does not do. Parameters that name keys, such as `jku`,
/// `jwk` and `x5u`, are ignored: tokens are checked by the configured keys alone.
pub(super) fn is_understood(token: &str) -> bool {
    let header = token.split('.').next().filter(|_| token.len() <= MAX_TOKEN);
    let bytes = header.and_then(|header| BASE64_URL_SAFE_NO_PAD.decode(header).ok());
    bytes.is_some_and(|bytes| serde_json::from_slice::<Understood>(&bytes).is_ok())
}

/// A header without extensions: no `crit`, none of which is implemented here; no payload outside of base64url (`b64`); each
/// parameter once.
struct Understood;

impl<'de> Deserialize<'de> for Understood {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parameters;

        impl<'de> Visitor<'de> for Parameters {
            type Value = Understood;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("the header of a token")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Understood, A::Error> {
                let mut names = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "crit" || name == "b64" {
                        return Err(A::Error::custom("an extension that is not known"));
                    }
                    map.next_value::<IgnoredAny>()?;
                    if !names.insert(name) {
                        return Err(A::Error::custom("a parameter that occurs twice"));
                    }
                }
                Ok(Understood)
            }
        }

        deserializer.deserialize_map(Parameters)
    }
}
