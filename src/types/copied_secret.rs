//! Secrets that broke while they were copied: by an editor, a terminal that wraps lines, or a web page.

use super::foreign_text::is_terminal_command;

/// What a copy has added to a secret, a pin or a host. No byte of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CopyFlaw {
    /// It is wrapped.
    #[error("it has a line break inside: a long line was wrapped as it was copied")]
    LineBreak,
    /// It ends its line, as `echo` makes it.
    #[error("it ends with a line break, as `echo` adds one; `printf %s` does not")]
    FinalLineBreak,
    /// A blank was copied with it.
    #[error("it begins with a blank")]
    LeadingBlank,
    /// A blank was copied with it.
    #[error("it ends with a blank")]
    TrailingBlank,
    /// A blank is inside it.
    #[error("it has a blank inside")]
    InnerBlank,
    /// Zero-width spaces and byte order marks come from web pages and editors.
    #[error("it has a character inside that cannot be seen")]
    Invisible,
    /// The quotes of a file or shell were copied with it.
    #[error("it is in quotes, which were copied with it")]
    Quoted,
}

impl CopyFlaw {
    /// The flaw of a text, if it has one; the gravest of several.
    pub fn of(text: &str) -> Option<Self> {
        let is_break = |c: char| matches!(c, '\n' | '\r');
        let quoted =
            |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
        if text.trim_end_matches(is_break).contains(is_break) {
            Some(Self::LineBreak)
        } else if text.ends_with(is_break) {
            Some(Self::FinalLineBreak)
        } else if text.starts_with(char::is_whitespace) {
            Some(Self::LeadingBlank)
        } else if text.ends_with(char::is_whitespace) {
            Some(Self::TrailingBlank)
        } else if text.contains(is_terminal_command) {
            Some(Self::Invisible)
        } else if quoted('"') || quoted('\'') {
            Some(Self::Quoted)
        } else if text.contains(char::is_whitespace) {
            Some(Self::InnerBlank)
        } else {
            None
        }
    }

    /// Whether no password has it. Blanks and quotes may be part of one, and are worth a warning.
    pub fn breaks_password(self) -> bool {
        matches!(self, Self::LineBreak | Self::FinalLineBreak | Self::Invisible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_broken_copy_is_told_apart() {
        for (text, expected) in [
            ("tok", None),
            ("to:k=/+", None),
            ("to\nk", Some(CopyFlaw::LineBreak)),
            ("to\r\nk\n", Some(CopyFlaw::LineBreak)),
            ("tok\n", Some(CopyFlaw::FinalLineBreak)),
            (" tok", Some(CopyFlaw::LeadingBlank)),
            ("\u{a0}tok", Some(CopyFlaw::LeadingBlank)),
            ("tok\t", Some(CopyFlaw::TrailingBlank)),
            ("t\u{200b}ok", Some(CopyFlaw::Invisible)),
            ("\u{feff}tok", Some(CopyFlaw::Invisible)),
            ("\"tok\"", Some(CopyFlaw::Quoted)),
            ("t ok", Some(CopyFlaw::InnerBlank)),
        ] {
            assert_eq!(CopyFlaw::of(text), expected, "{text:?}");
        }
    }
}
