//! Tokens that this program generates: 256 random bits in a form that can be recognized.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Secret;

/// The prefix of every generated token.
const PREFIX: &str = "ept_";
/// The length of the random part: 256 bits in base64url without padding.
const RANDOM: usize = 43;
/// The length of the checksum: the first 36 bits of a SHA-256 in base64url.
const CHECKSUM: usize = 6;
/// The fewest different characters of the random part. 43 random characters have fewer with a
/// probability below 2^-60; a token that a person typed in this form has.
const LEAST_DISTINCT: usize = 14;

/// A token of 256 random bits: `ept_`, 43 base64url characters and a checksum of 6.
///
/// Its entropy is what makes a fast hash enough: a server stores its SHA-256 where it stores Argon2id
/// of a password that a person chose. The checksum keeps mistyped tokens and chosen passwords from
/// being taken for generated ones.
#[derive(Debug, Clone)]
pub struct GeneratedToken(Secret);

impl GeneratedToken {
    /// A new token from the system's random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)?;
        let random = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
        let token = format!("{PREFIX}{}{}", *random, checksum(&random));
        Ok(Self(Secret::new(token)))
    }

    /// The same secret as a generated token, if it has the form of one.
    pub fn recognize(secret: &Secret) -> Option<Self> {
        let rest = secret.expose().strip_prefix(PREFIX)?;
        if !rest.is_ascii() || rest.len() != RANDOM + CHECKSUM {
            return None;
        }
        let (random, sum) = rest.split_at(RANDOM);
        URL_SAFE_NO_PAD.decode(random).map(Zeroizing::new).ok()?;
        let mut distinct = random.as_bytes().to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let is_generated = sum == checksum(random) && distinct.len() >= LEAST_DISTINCT;
        is_generated.then(|| Self(secret.clone()))
    }

    /// The SHA-256 of the whole token: what a server stores.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose()).into()
    }

    /// The token as a secret like any other.
    pub fn into_secret(self) -> Secret {
        self.0
    }
}

/// The checksum of the random part.
fn checksum(random: &str) -> String {
    let mut sum = URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{PREFIX}{random}")));
    sum.truncate(CHECKSUM);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_token_is_recognized_and_differs_each_time() {
        let (one, other) = (GeneratedToken::random().unwrap(), GeneratedToken::random().unwrap());
        assert_ne!(one.sha256(), other.sha256());
        let secret = one.clone().into_secret();
        assert_eq!(secret.expose().len(), PREFIX.len() + RANDOM + CHECKSUM);
        assert_eq!(GeneratedToken::recognize(&secret).unwrap().sha256(), one.sha256());
    }

    #[test]
    fn chosen_or_altered_text_is_not_recognized() {
        let token = GeneratedToken::random().unwrap().into_secret();
        let text = token.expose();
        let flat = "A".repeat(RANDOM);
        let altered = text.replacen("ept_", "ept_A", 1);
        let low_entropy = format!("{PREFIX}{flat}{}", checksum(&flat));
        let cut = &text[..text.len() - 1];
        let longer = format!("{text}A");
        let other_prefix = text.replacen("ept_", "epx_", 1);
        for text in ["", "hunter2", "ept_", cut, &longer, &altered, &other_prefix, &low_entropy] {
            assert!(GeneratedToken::recognize(&Secret::new(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn token_does_not_show_itself() {
        let token = GeneratedToken::random().unwrap();
        assert!(!format!("{token:?}").contains("ept_"));
    }
}
