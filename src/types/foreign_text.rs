//! Text that others chose, made fit for a message: on one line, with nothing that a terminal obeys, and not too long.

/// Whether a terminal would obey a character instead of showing it: control codes, and those that change the direction
/// of writing or cannot be seen.
pub fn is_terminal_command(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// `text` on one line of at most `longest` characters and an ellipsis; what a terminal would obey is escaped.
pub fn escape_foreign(text: &str, longest: usize) -> String {
    let mut escaped = String::with_capacity(text.len().min(longest + 3));
    let mut left = longest;
    for c in text.trim().chars() {
        let shown: String =
            if is_terminal_command(c) { c.escape_debug().collect() } else { c.into() };
        let Some(rest) = left.checked_sub(shown.chars().count()) else {
            escaped.push('…');
            break;
        };
        left = rest;
        escaped.push_str(&shown);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_on_its_line_and_ends() {
        assert_eq!(escape_foreign(" a\nb\u{1b}[2J\u{202e}c ", 100), r"a\nb\u{1b}[2J\u{202e}c");
        assert_eq!(escape_foreign("grüße", 3), "grü…");
        assert_eq!(escape_foreign("ab\n", 3), "ab");
        assert_eq!(escape_foreign("ab\nc", 3), "ab…");
        assert_eq!(escape_foreign(&"x".repeat(1 << 20), 10).chars().count(), 11);
    }
}
