//! The tokens of the constraint language. Of several that fit, the first in this list is taken;
//! blanks before (and sometimes behind) a token belong to it (Horizon fact).

use winnow::{
    Parser as _,
    combinator::{alt, opt, repeat},
    error::EmptyError,
    token::{one_of, take_while},
};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `AND`, `&&`
    And,
    /// `OR`, `||`
    Or,
    /// `<`, `<=`, `>`, `>=`, and these with a leading `=`
    Order,
    /// `in`
    In,
    /// `=`, `==`, `!=`
    Equality,
    /// `[1.0.0,2.0.0)`
    Range,
    /// `1.0.0`
    Version,
    /// `-1.5`
    Number,
    /// `(`
    Open,
    /// `)`
    Close,
    /// A name or a value without quotes.
    Word,
    /// A value in quotes.
    Quoted,
    /// A value in quotes, with commas.
    List,
}

/// A token: its kind, and its text with the blanks that belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

/// What cannot be a token is `()`.
type Unfit = EmptyError;

/// The next token and what follows it; `None` if no token fits. `rest` is not empty.
pub(super) fn next(mut rest: &str) -> Option<(Token<'_>, &str)> {
    let token = alt((
        inner_word.map(|text| (Kind::Word, text)),
        joint(("AND", "&&")).map(|text| (Kind::And, text)),
        joint(("OR", "||")).map(|text| (Kind::Or, text)),
        (blanks, opt('='), one_of(['<', '>']), opt('='), blanks)
            .take()
            .map(|text| (Kind::Order, text)),
        (blanks, "in", blanks).take().map(|text| (Kind::In, text)),
        (blanks, alt(("!=", "==", "=")), blanks).take().map(|text| (Kind::Equality, text)),
        range.map(|text| (Kind::Range, text)),
        alt((
            (blanks, version).take().map(|text| (Kind::Version, text)),
            number.map(|text| (Kind::Number, text)),
            (blanks, '(', blanks).take().map(|text| (Kind::Open, text)),
            (blanks, ')').take().map(|text| (Kind::Close, text)),
            (blanks, take_while(1.., is_word)).take().map(|text| (Kind::Word, text)),
            quoted(|c| is_word(c) || c == ' ' || c == '\t').map(|text| (Kind::Quoted, text)),
            quoted(|c| is_word(c) || matches!(c, ' ' | '\t' | ',')).map(|text| (Kind::List, text)),
        )),
    ))
    .parse_next(&mut rest);
    token.ok().map(|(kind, text)| (Token { kind, text }, rest))
}

/// The white space of the language.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// The characters that need no quotes: letters and digits of some scripts, and a few signs.
pub(super) fn is_word(c: char) -> bool {
    matches!(
        c,
        'a'..='z' | 'A'..='Z' | '0'..='9'
            | '_' | '-' | '/' | '!' | '?' | '+' | '~' | '\'' | '.'
            | '\u{A0}'..='\u{FF}'       // Latin 1
            | '\u{1100}'..='\u{11FF}'   // Hangul
            | '\u{AC00}'..='\u{D7AF}'
            | '\u{20A0}'..='\u{20CF}'   // currency signs
            | '\u{3040}'..='\u{30FF}'   // Hiragana, Katakana
            | '\u{4E00}'..='\u{9FFF}'   // CJK
            | '\u{FF00}'..='\u{FFEF}'   // half and full width
    )
}

fn blanks<'a>(input: &mut &'a str) -> Result<&'a str, Unfit> {
    take_while(0.., is_blank).parse_next(input)
}

/// A word that begins with `in` is a word, and not the operator.
fn inner_word<'a>(input: &mut &'a str) -> Result<&'a str, Unfit> {
    (repeat::<_, _, (), _, _>(1.., "in"), take_while(1.., is_word)).take().parse_next(input)
}

/// `AND` and `OR` need blanks on both sides.
fn joint<'a>(
    (word, sign): (&'static str, &'static str),
) -> impl winnow::Parser<&'a str, &'a str, Unfit> {
    (take_while(1.., is_blank), alt((word, sign)), take_while(1.., is_blank)).take()
}

fn digits<'a>(input: &mut &'a str) -> Result<&'a str, Unfit> {
    take_while(0.., |c: char| c.is_ascii_digit()).parse_next(input)
}

/// Three numbers, any of which may be missing: `..` is a version here (Horizon fact).
fn version<'a>(input: &mut &'a str) -> Result<&'a str, Unfit> {
    (digits, '.', digits, '.', digits).take().parse_next(input)
}

fn range<'a>(input: &mut &'a str) -> Result<&'a str, Unfit> {
    let start = (blanks, one_of(['[', '(']), version);
    let end = (alt((version, "INFINITY")), one_of([']', ')']));
    (start, blanks, ',', blanks, end).take().parse_next(input)
}

fn number<'a>(input: &mut &'a str) -> Result<&'a str, Unfit> {
    let whole = take_while(1.., |c: char| c.is_ascii_digit());
    (blanks, opt('-'), whole, opt(('.', digits))).take().parse_next(input)
}

fn quoted<'a>(fits: impl Fn(char) -> bool) -> impl winnow::Parser<&'a str, &'a str, Unfit> {
    (blanks, '"', take_while(1.., fits), '"').take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_that_fits_is_taken() {
        for (text, kind, taken) in [
            ("inside == x", Kind::Word, "inside"),
            (" in x", Kind::In, " in "),
            (" AND b", Kind::And, " AND "),
            ("AND", Kind::Word, "AND"),
            (" (1.0.0,INFINITY)", Kind::Range, " (1.0.0,INFINITY)"),
            ("( 1.0.0", Kind::Open, "( "),
            ("1.2.3foo", Kind::Version, "1.2.3"),
            ("12ab", Kind::Number, "12"),
            ("-x", Kind::Word, "-x"),
            ("\"a b\"", Kind::Quoted, "\"a b\""),
            ("\"a, b\"", Kind::List, "\"a, b\""),
        ] {
            assert_eq!(next(text).unwrap().0, Token { kind, text: taken }, "{text}");
        }
        assert_eq!(next("@"), None);
        assert_eq!(next("\"\""), None);
    }
}
