//! Options of a connection string that other clients know: those of Prisma, which the application's `DATABASE_URL` may have,
//! and modes of libpq. Each is translated, without meaning here, or refused in words.

use super::SettingsError;

/// Options that concern Prisma's own pool, or the schema in which it looks for tables: names in SQL have their schema here,
/// and the pool has its own setting.
const WITHOUT_MEANING: [&str; 6] =
    ["schema", "connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size", "max_idle_connection_lifetime"];

/// The connection string without the options that only other clients know.
pub(super) fn translated(url: &str) -> Result<String, SettingsError> {
    let Some((address, query)) = url.split_once('?').filter(|_| url.starts_with("postgres")) else {
        return Ok(url.to_owned());
    };
    let mut options = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let refused = |reason| Err(SettingsError::RefusedOption { option: name.to_owned(), reason });
        match (name, value) {
            (name, _) if WITHOUT_MEANING.contains(&name) => {}
            ("pgbouncer", "false") | ("sslaccept", "strict") => {}
            ("pgbouncer", _) => {
                return refused("connect to PostgreSQL directly, or through a pooler in session mode, and leave pgbouncer out");
            }
            ("sslaccept", _) => return refused("certificates are always checked; name the authority with database-ca"),
            ("sslcert" | "sslrootcert", _) => return refused("name the PEM file of the authority with database-ca"),
            ("sslidentity" | "sslpassword" | "sslkey", _) => {
                return refused("certificates of clients are not supported; log in with a password");
            }
            // The certificate is checked, name included, in every mode with TLS.
            ("sslmode", "verify-ca" | "verify-full") => options.push("sslmode=require".to_owned()),
            _ => options.push(option.to_owned()),
        }
    }
    Ok(if options.is_empty() { address.to_owned() } else { format!("{address}?{}", options.join("&")) })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("postgres://u@db/d", "postgres://u@db/d")]
    #[case("postgresql://u@db/d?schema=public", "postgresql://u@db/d")]
    #[case(
        "postgresql://u@db/d?schema=public&connection_limit=5&pool_timeout=2&connect_timeout=3&sslaccept=strict",
        "postgresql://u@db/d?connect_timeout=3"
    )]
    #[case("postgres://u@db/d?pgbouncer=false&sslmode=verify-full", "postgres://u@db/d?sslmode=require")]
    #[case("host=db user=u password=a?schema=b", "host=db user=u password=a?schema=b")]
    fn known_options_are_understood(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(translated(url).unwrap(), expected);
        assert!(super::super::groups::database_config(&expected.into()).is_ok());
    }

    #[rstest]
    #[case("pgbouncer=true", "session mode")]
    #[case("sslaccept=accept_invalid_certs", "database-ca")]
    #[case("sslcert=ca.pem", "database-ca")]
    #[case("sslidentity=me.p12", "password")]
    fn others_are_refused_in_words(#[case] option: &str, #[case] expected: &str) {
        let error = translated(&format!("postgres://u:hush@db/d?{option}")).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(option.split('=').next().unwrap()), "{error}");
        assert!(!error.contains("hush"));
    }
}
