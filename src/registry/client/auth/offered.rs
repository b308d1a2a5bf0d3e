//! The challenges of a `WWW-Authenticate` header (RFC 9110, 11.6.1), read leniently: a parameter that
//! breaks the grammar is passed over, and neither its challenge nor the next one is lost.

/// One challenge that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfferedChallenge {
    /// `Basic`, `Bearer` or another, as it is written.
    pub(super) scheme: String,
    parameters: Vec<(String, String)>,
}

impl OfferedChallenge {
    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The first parameter of this name that has a value.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let named = self.parameters.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).find(|value| !value.is_empty())
    }
}

/// Schemes that may follow a comma without parameters of their own (IANA's registry of schemes).
const KNOWN_SCHEMES: [&str; 6] = ["Basic", "Bearer", "Digest", "Negotiate", "NTLM", "Kerberos"];
/// The most challenges of one header that are read.
const MOST: usize = 16;
/// The most parameters of one challenge that are read.
const MOST_PARAMETERS: usize = 32;

/// The challenges in the value of one header.
pub(super) fn parse(header: &str) -> Vec<OfferedChallenge> {
    let mut found: Vec<OfferedChallenge> = Vec::new();
    let mut rest = skip_separators(header);
    while !rest.is_empty() && found.len() <= MOST {
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | '=' | '"'));
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        let after_blanks = after.trim_start();
        if let Some(value) = after_blanks.strip_prefix('=') {
            let (value, left) = read_value(value.trim_start());
            if is_known(word) {
                // A scheme before a parameter that has lost its name.
                found.push(OfferedChallenge { scheme: word.to_owned(), parameters: Vec::new() });
            } else if let Some(challenge) = found.last_mut()
                && challenge.parameters.len() < MOST_PARAMETERS
            {
                challenge.parameters.push((word.to_owned(), value));
            }
            rest = skip_separators(left);
        } else {
            if begins_challenge(word, after, found.is_empty()) {
                found.push(OfferedChallenge { scheme: word.to_owned(), parameters: Vec::new() });
            }
            rest = skip_separators(after.strip_prefix('"').unwrap_or(after));
        }
    }
    found.truncate(MOST);
    found
}

/// Whether a word without a value is a scheme, and not a broken parameter.
fn begins_challenge(word: &str, after: &str, is_first: bool) -> bool {
    let is_token = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let has_parameters = after.starts_with(char::is_whitespace)
        && !matches!(after.trim_start().chars().next(), None | Some(','));
    is_token && (is_first || is_known(word) || has_parameters)
}

fn is_known(word: &str) -> bool {
    KNOWN_SCHEMES.iter().any(|it| it.eq_ignore_ascii_case(word))
}

fn skip_separators(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || c == ',')
}

/// The value at the beginning of `text`, without its quotes, and what follows it.
fn read_value(text: &str) -> (String, &str) {
    if let Some(quoted) = text.strip_prefix('"')
        && let Some((value, left)) = read_quoted(quoted)
        && left.chars().next().is_none_or(|c| c.is_whitespace() || c == ',')
    {
        return (value, left);
    }
    // Without quotes, or with one that is missing: up to the comma.
    let (value, left) = text.split_at(text.find(',').unwrap_or(text.len()));
    (value.trim().trim_matches(['"', '\'']).to_owned(), left)
}

/// The text up to the closing quote, and what follows it.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemes(header: &str) -> Vec<String> {
        parse(header).into_iter().map(|it| it.scheme).collect()
    }

    #[test]
    fn several_challenges_in_one_header_are_told_apart() {
        let header =
            r#"Negotiate, Bearer realm="https://h/token",service="a \"b\"", Basic realm="x""#;
        assert_eq!(schemes(header), ["Negotiate", "Bearer", "Basic"]);
        let bearer = parse(header).remove(1);
        assert_eq!(bearer.parameter("REALM"), Some("https://h/token"));
        assert_eq!(bearer.parameter("service"), Some("a \"b\""));
        assert_eq!(schemes("Negotiate YWJj==, NTLM, basic"), ["Negotiate", "NTLM", "basic"]);
        assert_eq!(schemes(", ,"), Vec::<String>::new());
    }

    #[test]
    fn a_broken_parameter_loses_neither_its_challenge_nor_the_next() {
        for header in [
            r#"Bearer realm="https://h/token", error, service="reg", Basic realm="x""#,
            r#"Bearer error=, realm="https://h/token" service=reg, Basic realm="x""#,
            r#"Bearer realm = "https://h/token", service = 'reg', Basic realm=My Registry"#,
            r#"bearer =oops, realm=https://h/token,service="reg",scope=repository:a:pull,push, BASIC realm="x""#,
            r#"Bearer service="reg",,realm="https://h/token,Basic realm="x""#,
            r#"Bearer "stray" realm="https://h/token",service="reg" , Basic"#,
        ] {
            let found = parse(header);
            let of = |scheme: &str| found.iter().find(|it| it.is(scheme)).cloned();
            let bearer = of("Bearer").unwrap_or_else(|| panic!("{header}: {found:?}"));
            assert_eq!(bearer.parameter("realm"), Some("https://h/token"), "{header}: {found:?}");
            assert_eq!(bearer.parameter("service"), Some("reg"), "{header}");
            assert!(of("Basic").is_some(), "{header}: {found:?}");
        }
    }

    #[test]
    fn hostile_headers_end() {
        for header in ["=", "\"", "a=\"\\", "Bearer realm=\"", "ü=ß", "Bearer\u{a0}x"] {
            assert!(parse(header).len() <= 2, "{header}");
        }
        assert_eq!(parse(&"Basic x=1,".repeat(1000)).len(), MOST);
    }
}
