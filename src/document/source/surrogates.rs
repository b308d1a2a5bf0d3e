//! Escapes of half a character in JSON: `\ud83d` without the `\ude00` that belongs to it.
//!
//! Go, and so Horizon, reads U+FFFD in the place of each; strict readers refuse them.

use super::{Flaw, Flaws, strip::string_length};

/// The bytes of an escape such as `\ud83d`.
const LENGTH: usize = 6;

/// Puts `\ufffd`, which is as long, in the place of each escape of an unpaired surrogate.
pub(super) fn replace_unpaired(text: &mut String, found: &mut Flaws) {
    let places = unpaired(text);
    if let Some(first) = places.first() {
        let what = "half of a character (an unpaired surrogate), which is read as U+FFFD";
        let help = "write the character itself, or both halves: \\ud83d\\ude00";
        found.push(Flaw::warning(*first, what, help));
    }
    for at in places {
        text.replace_range(at..at + LENGTH, "\\ufffd");
    }
}

/// Where the escapes of unpaired surrogates stand.
fn unpaired(text: &str) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(step) = text[at..].find('"') {
        at += step;
        let end = at + string_length(&text[at..]);
        unpaired_in(text, at, end, &mut places);
        at = end;
    }
    places
}

fn unpaired_in(text: &str, mut at: usize, end: usize, places: &mut Vec<usize>) {
    while let Some(step) = text[at..end].find('\\') {
        at += step;
        at += match surrogate(&text[at..end]) {
            Some(Half::First)
                if text.get(at + LENGTH..end).and_then(surrogate) == Some(Half::Second) =>
            {
                2 * LENGTH
            }
            Some(_) => {
                places.push(at);
                LENGTH
            }
            // The escaped character may be a backslash itself, or have several bytes.
            None => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        at = at.min(end);
    }
}

/// A half of a pair of surrogates (UTF-16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    First,
    Second,
}

/// The half that the escape at the start of `text` stands for.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    match u32::from_str_radix(digits, 16) {
        Ok(0xd800..=0xdbff) if is_hex => Some(Half::First),
        Ok(0xdc00..=0xdfff) if is_hex => Some(Half::Second),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpaired_halves_become_the_replacement_character() {
        for (text, expected) in [
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\uDFFFx""#, r#""\ufffdx""#),
            (r#""\ud800\ud83d\ude00\udc00""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#""\\ud800", "\\\ud800""#, r#""\\ud800", "\\\ufffd""#),
            (r#""\ud800\u0041 \ud80" \ud800"#, r#""\ufffd\u0041 \ud80" \ud800"#),
            (r#""\é\ud800"#, r#""\é\ufffd"#),
            (r#""\"#, r#""\"#),
        ] {
            let (mut read, mut found) = (text.to_owned(), Flaws::default());
            replace_unpaired(&mut read, &mut found);
            assert_eq!(read, expected);
            assert_eq!(found.iter().count(), usize::from(text != expected));
        }
    }
}
