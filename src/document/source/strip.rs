//! Takes out comments, and what people write although it is not JSON.

use super::{Flaw, Flaws};

/// `text` with blanks in the place of comments, so that everything else keeps its place.
///
/// Slips whose meaning is plain (`//` comments, commas before a closing bracket, blanks that are
/// not ASCII) are told and taken out too, so that what comes behind them is told as well.
pub(super) fn strip(text: &str, found: &mut Flaws) -> String {
    let mut stripped = Stripped { out: String::with_capacity(text.len()), comma: None };
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        let length = match c {
            '"' => {
                let length = string_length(rest);
                let string = &rest[..length];
                if let Some(control) = string.find(|c: char| c.is_ascii_control() && c != '\x7f') {
                    let what = "a text with a line break or another control character";
                    let help = "close the text by \" before it, or escape it as \\n or \\t";
                    found.push(Flaw::error(at + control, what, help));
                }
                if let Some(open) = string.find("/*")
                    && rest[open + 2..].contains("*/")
                {
                    let what = "hzn takes `/*` for a comment, also in a text, and cuts all up to the next `*/`";
                    let help = "write \\u002f* in its place";
                    found.push(Flaw::warning(at + open, what, help));
                }
                let blank = |b: char| if b < ' ' { ' ' } else { b };
                stripped.keep(&string.chars().map(blank).collect::<String>());
                length
            }
            '/' if rest.starts_with("/*") => {
                let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
                if length < 4 || !rest[..length].ends_with("*/") {
                    let help = "end the comment by */";
                    found.push(Flaw::error(at, "a comment that does not end", help));
                }
                stripped.blank(&rest[..length]);
                length
            }
            '/' if rest.starts_with("//") => {
                let length = rest.find('\n').unwrap_or(rest.len());
                found.push(Flaw::error(at, "JSON has no // comments", "write /* … */"));
                stripped.blank(&rest[..length]);
                length
            }
            ']' | '}' => {
                if let Some(comma) = stripped.comma {
                    let what = format!("a comma before `{c}`");
                    found.push(Flaw::error(comma, what, "take the comma away"));
                    stripped.out.replace_range(comma..=comma, " ");
                }
                stripped.keep(&rest[..1]);
                1
            }
            ',' => {
                stripped.keep(",");
                stripped.comma = Some(at);
                1
            }
            // A byte order mark means nothing, and only stands at the start.
            '\u{feff}' if at == 0 => {
                stripped.blank(&rest[..c.len_utf8()]);
                c.len_utf8()
            }
            _ if blank_name(c).is_some() => {
                let what = format!("{} outside of a text", blank_name(c).unwrap_or_default());
                found.push(Flaw::error(at, what, "put an ordinary blank in its place"));
                stripped.blank(&rest[..c.len_utf8()]);
                c.len_utf8()
            }
            ' ' | '\t' | '\r' | '\n' => {
                stripped.out.push(c);
                1
            }
            _ => {
                stripped.keep(&rest[..c.len_utf8()]);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    stripped.out
}

/// What a character is called that looks like a blank, or like nothing, and is none that JSON knows.
pub(super) fn blank_name(c: char) -> Option<String> {
    let is_blank = !c.is_ascii() && c.is_whitespace()
        || ('\u{200b}'..='\u{200f}').contains(&c)
        || c == '\u{feff}';
    let name = match c {
        _ if !is_blank => return None,
        '\u{a0}' => " (no-break space)",
        '\u{200b}' => " (zero-width space)",
        _ => "",
    };
    Some(format!("U+{:04X}{name}", u32::from(c)))
}

struct Stripped {
    out: String,
    /// Where a comma stands, if it is the last thing that is no blank.
    comma: Option<usize>,
}

impl Stripped {
    fn keep(&mut self, text: &str) {
        self.out.push_str(text);
        self.comma = None;
    }

    fn blank(&mut self, text: &str) {
        self.out.extend(text.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
    }
}

/// The bytes of the string that `text` begins with, its quotes included.
pub(super) fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, b) in text.bytes().enumerate().skip(1) {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => (),
        }
    }
    text.len()
}
