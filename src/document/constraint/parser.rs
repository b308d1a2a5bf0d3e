//! From text to tree; an error says where, and what would have fitted there.

use super::{
    ast::{Comparison, Expression, Operator, Span},
    lexer::{self, Kind, Token},
};
use crate::types::VersionRange;

/// Deeper nesting is refused: nobody writes it, and reading it would use up the stack.
pub(super) const DEEPEST: usize = 64;

/// A longer constraint is refused; the longest seen in real policies has 300 bytes.
pub(super) const LONGEST: usize = 64 * 1024;

/// Why a text is no constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at column {column} of the constraint")]
pub struct ParseConstraintError {
    /// The character where it stops making sense, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
    /// What to do about it.
    pub help: &'static str,
}

const HELP_COMPARISON: &str = "a comparison is `name op value`, such as `purpose == camera`";
const HELP_QUOTE: &str = "put a value that begins with a digit or has other characters into double quotes: letters, digits, blanks and _ - / ! ? + ~ ' . are allowed there, and commas behind `in`";
const HELP_JOINT: &str = "join comparisons by AND or OR, in capitals and with a blank on each side";
const HELP_IN: &str =
    "behind `in` stands a version, a range such as [1.0.0,2.0.0), or a list such as \"a,b\"";

pub(super) fn parse(text: &str) -> Result<Expression, ParseConstraintError> {
    let mut parser = Parser { text, rest: text, depth: 0 };
    if text.len() > LONGEST {
        return Err(parser.refuse("the constraint is longer than 64 KiB", ""));
    }
    let expression = parser.any()?;
    if parser.at_end() {
        return Ok(expression);
    }
    let what = match parser.peek() {
        Some(token) if token.kind == Kind::Close => "a `)` that nothing opens",
        _ => "expected AND, OR or the end",
    };
    Err(parser.refuse(what, if what.starts_with('a') { "" } else { HELP_JOINT }))
}

/// Checks every comparison of a constraint, and not how they are joined: Horizon's parser also accepts some texts
/// whose parentheses or whose last `AND` are incomplete, which [`parse`] refuses.
pub(super) fn check_comparisons(text: &str) -> Result<(), ParseConstraintError> {
    let mut parser = Parser { text, rest: text, depth: 0 };
    if text.len() > LONGEST {
        return Err(parser.refuse("the constraint is longer than 64 KiB", ""));
    }
    let mut follows_comparison = false;
    while !parser.at_end() {
        let joints = [Kind::Open, Kind::Close, Kind::And, Kind::Or];
        if joints.into_iter().any(|kind| parser.take(kind).is_some()) {
            follows_comparison = false;
        } else if follows_comparison {
            return Err(parser.refuse("expected AND, OR or the end", HELP_JOINT));
        } else {
            parser.comparison()?;
            follows_comparison = true;
        }
    }
    Ok(())
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// Parts joined by `OR`.
    fn any(&mut self) -> Result<Expression, ParseConstraintError> {
        let start = self.here();
        let mut parts = vec![self.all()?];
        while self.take(Kind::Or).is_some() {
            parts.push(self.all()?);
        }
        let span = self.since(start);
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Any(parts, span) })
    }

    /// Parts joined by `AND`, which binds tighter.
    fn all(&mut self) -> Result<Expression, ParseConstraintError> {
        if self.depth == 0 && self.text.trim().is_empty() {
            return Ok(Expression::All(Vec::new(), Span { start: 0, end: self.text.len() }));
        }
        let start = self.here();
        let mut parts = vec![self.part()?];
        while self.take(Kind::And).is_some() {
            parts.push(self.part()?);
        }
        let span = self.since(start);
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::All(parts, span) })
    }

    fn part(&mut self) -> Result<Expression, ParseConstraintError> {
        let start = self.here();
        if self.take(Kind::Open).is_none() {
            return self.comparison().map(Expression::Compare);
        }
        if self.take(Kind::Close).is_some() {
            return Ok(Expression::All(Vec::new(), self.since(start)));
        }
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.refuse("parentheses are nested deeper than 64", ""));
        }
        let inner = self.any()?;
        self.depth -= 1;
        if self.take(Kind::Close).is_some() {
            return Ok(inner);
        }
        let help = if self.at_end() { "close the parenthesis by `)`" } else { HELP_JOINT };
        Err(self.refuse("expected `)`, AND or OR", help))
    }

    fn comparison(&mut self) -> Result<Comparison, ParseConstraintError> {
        let start = self.here();
        let Some(name) = self.take(Kind::Word) else {
            let help = match self.peek() {
                Some(Token { kind: Kind::Number | Kind::Version, .. }) => {
                    "the name of a property cannot begin with a digit"
                }
                _ => HELP_COMPARISON,
            };
            return Err(self.refuse("expected the name of a property", help));
        };
        let operator =
            self.peek().filter(|it| matches!(it.kind, Kind::Equality | Kind::Order | Kind::In));
        let Some(operator) = operator else {
            let what = format!("expected ==, !=, <, <=, >, >= or in behind `{}`", name.text.trim());
            return Err(self.refuse(what, HELP_COMPARISON));
        };
        self.advance(operator);
        let is_value = |it: &Token<'_>| {
            use Kind::{List, Number, Quoted, Range, Version, Word};
            matches!(it.kind, List | Number | Quoted | Range | Version | Word)
        };
        let Some(value) = self.peek().filter(is_value) else {
            return Err(self.refuse("expected a value", HELP_QUOTE));
        };
        if let Err((what, help)) = fits(operator, value) {
            return Err(self.refuse(what, help));
        }
        self.advance(value);
        if self.rest.starts_with(lexer::is_word) {
            return Err(self.refuse("a value without quotes ends here", HELP_QUOTE));
        }
        Ok(Comparison {
            name: name.text.to_owned(),
            operator: Operator::of(operator.text.trim()),
            value: value.text.trim().to_owned(),
            span: self.since(start),
        })
    }

    fn peek(&self) -> Option<Token<'a>> {
        lexer::next(self.rest).map(|(token, _)| token)
    }

    fn take(&mut self, kind: Kind) -> Option<Token<'a>> {
        let token = self.peek().filter(|it| it.kind == kind)?;
        self.advance(token);
        Some(token)
    }

    fn advance(&mut self, token: Token<'a>) {
        self.rest = &self.rest[token.text.len()..];
    }

    /// The byte behind the blanks, where the next token shows.
    fn here(&self) -> usize {
        self.text.len() - self.rest.trim_start_matches(lexer::is_blank).len()
    }

    /// From `start` to the end of the last token; the blanks behind it do not count.
    fn since(&self, start: usize) -> Span {
        let read = &self.text[..self.text.len() - self.rest.len()];
        Span { start, end: read.trim_end_matches(lexer::is_blank).len().max(start) }
    }

    fn at_end(&self) -> bool {
        self.rest.trim_matches(lexer::is_blank).is_empty()
    }

    /// Points behind the blanks at the next character.
    fn refuse(&self, what: impl Into<String>, help: &'static str) -> ParseConstraintError {
        let column = self.text[..self.here()].chars().count() + 1;
        ParseConstraintError { column, what: what.into(), help }
    }
}

/// Whether the operator takes that kind of value.
fn fits(operator: Token<'_>, value: Token<'_>) -> Result<(), (&'static str, &'static str)> {
    let text = value.text.trim();
    match (operator.kind, value.kind) {
        (Kind::Equality, Kind::Range | Kind::List) => {
            Err(("only `in` takes a range or a list", HELP_IN))
        }
        (Kind::Order, _) if text.parse::<f64>().is_err() => {
            Err(("<, <=, > and >= need a number", "compare versions by `in [1.0.0,2.0.0)`"))
        }
        (Kind::In, Kind::Range) if text.parse::<VersionRange>().is_err() => {
            Err(("not a version range", "a range has no blanks: [1.0.0,2.0.0)"))
        }
        (Kind::In, Kind::Number | Kind::Word) => {
            Err(("`in` does not take a bare word or number", HELP_IN))
        }
        _ => Ok(()),
    }
}
