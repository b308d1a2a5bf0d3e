//! How the parts of a constraint came out, one by one, each with its place in the text.

use super::{
    ast::{Comparison, Expression},
    eval::satisfied,
};
use crate::document::property::{Properties, Property};

/// A part of a constraint, and how properties stand to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged<'a> {
    /// As its author wrote it, without parentheses round the whole of it.
    pub text: &'a str,
    /// How many characters of the constraint stand before it.
    pub offset: usize,
    /// Whether it holds; nothing where that did not matter, behind an `OR` that was satisfied.
    pub holds: Option<bool>,
    /// What it is.
    pub term: Term<'a>,
}

/// What a part of a constraint is.
#[derive(Debug, Clone, PartialEq)]
pub enum Term<'a> {
    /// All of these must hold.
    All(Vec<Judged<'a>>),
    /// One of these must hold.
    Any(Vec<Judged<'a>>),
    /// A comparison, and the property it is about.
    Compare(&'a Comparison, Option<&'a Property>),
}

pub(super) fn judge<'a>(
    text: &'a str,
    expression: &'a Expression,
    properties: &'a Properties,
) -> Judged<'a> {
    ask(text, expression, properties, true)
}

/// Judges every part of an `AND`, so that all that is wrong is told, but no more of an `OR` than
/// is needed.
fn ask<'a>(
    text: &'a str,
    expression: &'a Expression,
    properties: &'a Properties,
    matters: bool,
) -> Judged<'a> {
    let (term, holds) = match expression {
        Expression::All(parts, _) => {
            let parts: Vec<_> = parts.iter().map(|it| ask(text, it, properties, matters)).collect();
            let holds = parts.iter().all(|it| it.holds == Some(true));
            (Term::All(parts), holds)
        }
        Expression::Any(parts, _) => {
            let mut open = matters;
            let mut judged = Vec::with_capacity(parts.len());
            for part in parts {
                let part = ask(text, part, properties, open);
                open &= part.holds != Some(true);
                judged.push(part);
            }
            let holds = judged.iter().any(|it| it.holds == Some(true));
            (Term::Any(judged), holds)
        }
        Expression::Compare(comparison) => {
            let holds = matters && satisfied(comparison, properties);
            (Term::Compare(comparison, properties.get(&comparison.name)), holds)
        }
    };
    let span = expression.span();
    Judged {
        text: &text[span.start..span.end],
        offset: text[..span.start].chars().count(),
        holds: matters.then_some(holds),
        term,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::constraint::Constraint;

    fn properties() -> Properties {
        Properties::from_iter([Property::new("a", "x"), Property::new("n", 5)])
    }

    /// `offset text outcome` of every part.
    fn told(judged: &Judged<'_>) -> Vec<String> {
        let holds = judged.holds.map_or("-".to_owned(), |it| it.to_string());
        let mut lines = vec![format!("{} {} {holds}", judged.offset, judged.text)];
        match &judged.term {
            Term::All(parts) | Term::Any(parts) => lines.extend(parts.iter().flat_map(told)),
            Term::Compare(..) => (),
        }
        lines
    }

    #[test]
    fn every_part_has_its_place_and_its_outcome() {
        let constraint = Constraint::parse("ü == x OR (a == x AND ( n > 9 )) OR n > 3").unwrap();
        let properties = properties();
        assert_eq!(
            told(&constraint.judge(&properties)),
            [
                "0 ü == x OR (a == x AND ( n > 9 )) OR n > 3 true",
                "0 ü == x false",
                "11 a == x AND ( n > 9 ) false",
                "11 a == x true",
                "24 n > 9 false",
                "36 n > 3 true",
            ]
        );
    }

    #[test]
    fn nothing_is_asked_behind_an_or_that_is_satisfied() {
        let constraint = Constraint::parse("a == x OR (n > 9 AND a == y)").unwrap();
        let properties = properties();
        assert_eq!(
            told(&constraint.judge(&properties))[2..],
            ["11 n > 9 AND a == y -", "11 n > 9 -", "21 a == y -"]
        );
    }

    #[test]
    fn an_empty_constraint_holds() {
        for text in ["", "  ", "()"] {
            let constraint = Constraint::parse(text).unwrap();
            assert_eq!(constraint.judge(&Properties::default()).holds, Some(true), "{text}");
        }
    }

    /// Every part, the whole first.
    fn parts<'a, 'p>(judged: &'p Judged<'a>) -> Vec<&'p Judged<'a>> {
        let inner = match &judged.term {
            Term::All(parts) | Term::Any(parts) => parts.as_slice(),
            Term::Compare(..) => &[],
        };
        std::iter::once(judged).chain(inner.iter().flat_map(parts)).collect()
    }

    proptest! {
        #[test]
        fn every_part_says_by_itself_what_it_says_in_the_whole(
            text in "(\\(? ?(a|n|ü) ?(==|!=|>) ?(x|5)\\)?( AND | OR )?){1,6}"
        ) {
            let properties = properties();
            if let Ok(constraint) = Constraint::parse(&text) {
                let judged = constraint.judge(&properties);
                prop_assert_eq!(judged.holds, Some(constraint.holds(&properties)));
                for part in parts(&judged) {
                    let at: String = text.chars().skip(part.offset).collect();
                    prop_assert!(at.starts_with(part.text), "{:?}", part);
                    let alone = Constraint::parse(part.text).unwrap();
                    let holds = part.holds.is_none_or(|it| it == alone.holds(&properties));
                    prop_assert!(holds || text.starts_with(' '), "{:?}", part);
                }
            }
        }
    }
}
