//! The header If-Match (RFC 9110, section 13.1.1).

use axum::http::{HeaderMap, header};

use super::problem::Problem;

/// The strong entity tags of If-Match, without their quotes. `None` = there is no such header, or it is `*`. A weak tag is
/// left out, since it never matches here; so is what is not a tag, such as one to which a proxy added a suffix.
///
/// A header without any quote is an error.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<Vec<String>>, Problem> {
    let mut lines = headers.get_all(header::IF_MATCH).iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let mut tags = Vec::new();
    for line in lines {
        let Ok(line) = line.to_str() else { continue };
        if line.trim() == "*" {
            return Ok(None);
        }
        if !line.contains('"') {
            return Err(Problem::new("malformed", "If-Match has entity tags, each in quotes, or *."));
        }
        let mut rest = line.trim_start_matches([' ', '\t', ',']);
        while !rest.is_empty() {
            let strong = rest.strip_prefix('"').and_then(|tag| tag.split_once('"'));
            let (tag, behind) = match strong {
                Some((tag, behind)) => (Some(tag), behind),
                None => match rest.strip_prefix("W/\"").and_then(|tag| tag.split_once('"')) {
                    Some((_, behind)) => (None, behind),
                    None => (None, rest),
                },
            };
            // What stands between a tag and the next comma makes it none.
            let (tail, next) = behind.split_once(',').unwrap_or((behind, ""));
            tags.extend(tag.filter(|_| tail.trim().is_empty()).map(ToOwned::to_owned));
            rest = next.trim_start_matches([' ', '\t', ',']);
        }
    }
    Ok(Some(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_those_that_may_match() {
        for (lines, expected) in [
            (&[][..], None),
            (&["*"], None),
            (&[r#""a""#], Some(vec!["a"])),
            (&[r#""a", "b,c" ,"d""#, r#""e""#], Some(vec!["a", "b,c", "d", "e"])),
            (&[r#"W/"a", "b""#], Some(vec!["b"])),
            (&[r#""a"-gzip, "b""#], Some(vec!["b"])),
            (&[r#"","#], Some(vec![])),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::IF_MATCH, line.parse().expect("a header"));
            }
            let expected = expected.map(|tags| tags.into_iter().map(ToOwned::to_owned).collect::<Vec<_>>());
            assert_eq!(if_match(&headers).ok(), Some(expected), "{lines:?}");
        }
    }
}
