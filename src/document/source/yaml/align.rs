//! Where the characters of a YAML text stand in the file.

use serde_saphyr::granit_parser::ScalarStyle;

use crate::document::source::trace::Traced;

/// `value` with the place of each of its characters; `raw` is how it is written, quotes
/// included, from `base` on.
///
/// The two are walked side by side: indentation is skipped, a folded line break is a blank, and an
/// escape is one character.
pub(super) fn align(value: &str, raw: &str, base: usize, style: ScalarStyle) -> Traced {
    let mut traced = Traced::default();
    let mut at = match style {
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => raw.len().min(1),
        _ => 0,
    };
    let has_escapes = style == ScalarStyle::DoubleQuoted;
    let mut bytes = [0; 4];
    for c in value.chars() {
        let text: &str = c.encode_utf8(&mut bytes);
        if !c.is_whitespace() {
            at += blanks(&raw[at..]);
        }
        if has_escapes && (raw[at..].starts_with("\\\n") || raw[at..].starts_with("\\\r\n")) {
            at += 1;
            at += blanks(&raw[at..]);
        }
        let rest = &raw[at..];
        if has_escapes && rest.starts_with('\\') {
            traced.push_other(text, base + at);
            at = raw.floor_char_boundary((at + escape_length(rest, c)).min(raw.len()));
        } else if style == ScalarStyle::SingleQuoted && rest.starts_with("''") {
            traced.push_other(text, base + at);
            at += 2;
        } else if rest.starts_with(c) {
            traced.push_copy(text, base + at);
            at += text.len();
        } else {
            traced.push_other(text, base + at);
            let line_end = rest.find('\n').filter(|end| rest[..*end].trim().is_empty());
            at += line_end.map_or(0, |end| end + 1);
        }
    }
    // What stands behind the text is its end.
    traced.push_copy("", base + at);
    traced
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t', '\r', '\n']).len()
}

/// The bytes of an escape that stands for `c`.
fn escape_length(text: &str, c: char) -> usize {
    match text.as_bytes().get(1) {
        Some(b'x') => 4,
        Some(b'u') if u32::from(c) > 0xffff => 12,
        Some(b'u') => 6,
        Some(b'U') => 10,
        _ => 2,
    }
}
