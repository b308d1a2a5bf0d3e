//! Clauses that read well and mean something else: they are judged as Horizon judges them, and their
//! author is told.

use super::ast::{Comparison, Expression, Operator};
use crate::{document::property::is_plain_version, types::VersionRange};

/// A clause that does not mean what it seems to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// How many characters of the constraint stand before the clause.
    pub offset: usize,
    /// What it means.
    pub what: String,
    /// What its author probably meant.
    pub help: String,
}

/// The traps of a constraint, in its order.
pub(super) fn traps(text: &str, expression: &Expression) -> Vec<Trap> {
    let mut traps = Vec::new();
    expression.visit(&mut |comparison| {
        let before = text.get(..comparison.span.start).unwrap_or_default();
        let offset = before.chars().count();
        let all = of_clause(comparison).into_iter();
        traps.extend(all.map(|(what, help)| Trap { offset, what, help }));
    });
    traps
}

/// What is odd about a range of versions, and what was probably meant.
pub(in crate::document) fn of_range(range: &VersionRange) -> Option<(String, String)> {
    if range.is_inverted() {
        let what = format!(
            "the range {range} stands the wrong way round: of all versions it has at most its own ends"
        );
        return Some((what, "write the lower version first".to_owned()));
    }
    let only = range.only()?;
    if range.contains(only) {
        let what =
            format!("the range {range} looks empty, and has {only}: a bracket that includes wins");
        return Some((what, format!("write [{only},{only}] for that version alone")));
    }
    Some((
        format!("the range {range} has no version"),
        format!("write [{only},{only}] for {only} alone"),
    ))
}

/// What a clause means although it does not look like it, with what was probably meant.
fn of_clause(comparison: &Comparison) -> Vec<(String, String)> {
    let Comparison { name, operator, value, .. } = comparison;
    let mut traps = Vec::new();
    if name.starts_with(char::is_whitespace) {
        let name = name.trim_start();
        let what = format!("the blank before `{name}` belongs to its name, so no property has it");
        traps.push((what, "begin the constraint with the name".to_owned()));
    }
    if let Some(meant) = name.strip_suffix('!').filter(|_| *operator == Operator::Equal) {
        let what = format!("`!` belongs to the name `{name}`");
        traps.push((what, format!("write `{meant} != {value}`, with blanks")));
    }
    if let Some(trap) = of_operator(name.trim(), *operator, value) {
        traps.push(trap);
    }
    if let Some(trap) = of_value(name.trim(), *operator, value) {
        traps.push(trap);
    }
    traps
}

fn of_operator(name: &str, operator: Operator, value: &str) -> Option<(String, String)> {
    match operator {
        Operator::NumbersEqual => Some((
            format!("`=>` and `=<` mean that `{name}` equals {value}"),
            format!("write `{name} >= {value}` or `{name} <= {value}`"),
        )),
        Operator::NotEqual => Some((
            format!("`{name} != {value}` does not hold where there is no `{name}` at all"),
            format!("give `{name}` to everything that should fit"),
        )),
        _ => None,
    }
}

fn of_value(name: &str, operator: Operator, value: &str) -> Option<(String, String)> {
    let quoted = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let bare = quoted.unwrap_or(value).trim();
    let is_equality = matches!(operator, Operator::Equal | Operator::NotEqual);
    if value.len() > 1 && value.starts_with('\'') && value.ends_with('\'') {
        let meant = value.trim_matches('\'');
        let what = format!("the single quotes belong to the value {value}");
        return Some((what, format!("write \"{meant}\" in double quotes")));
    }
    if is_equality && quoted.is_some() && ["true", "false"].contains(&bare.to_lowercase().as_str())
    {
        let what = format!("a boolean never equals {value} in quotes; only a text does");
        return Some((what, format!("write `{name} {} {bare}`", operator.as_str())));
    }
    let is_version = is_plain_version(bare) && bare.matches('.').count() == 2;
    if is_equality && is_version {
        let what = format!(
            "`{}` compares texts: {bare} differs from the same version written shorter",
            operator.as_str()
        );
        return Some((what, format!("write `{name} in [{bare},{bare}]`")));
    }
    if operator == Operator::In && is_version {
        let what = format!(
            "`in {value}` means {bare} or later where `{name}` has the type version, and that very text elsewhere"
        );
        return Some((what, format!("write `{name} in [{bare},INFINITY)`, or [{bare},{bare}]")));
    }
    if operator == Operator::In && quoted.is_none() {
        return value.parse().ok().as_ref().and_then(of_range);
    }
    if quoted.is_none()
        && let Some(seen) = rounded(bare)
    {
        let what = format!("numbers are compared as 64-bit floats, in which {bare} is {seen}");
        return Some((what, "let the property be a text, and quote the value".to_owned()));
    }
    None
}

/// What a whole number becomes as a 64-bit float, if that is another number.
pub(in crate::document) fn rounded(text: &str) -> Option<String> {
    let exact: i128 = text.parse().ok()?;
    let float: f64 = text.parse().ok()?;
    (format!("{float:.0}").parse() != Ok(exact)).then(|| float.to_string())
}

#[cfg(test)]
mod tests {
    use crate::document::constraint::Constraint;

    fn told(text: &str) -> Vec<(usize, String, String)> {
        let traps = Constraint::parse(text).unwrap().traps();
        traps.into_iter().map(|it| (it.offset, it.what, it.help)).collect()
    }

    #[test]
    fn each_trap_is_told_with_what_was_probably_meant() {
        for (text, what, help) in [
            (" a == x", "blank before `a`", "begin"),
            ("a!=x", "`!` belongs", "a != x"),
            ("n => 5", "equals 5", "n >= 5"),
            ("n =< 5", "equals 5", "n <= 5"),
            ("n =>= 5", "equals 5", "n >= 5"),
            ("a == 'x'", "single quotes", "\"x\""),
            ("a != x", "there is no `a`", "give `a`"),
            ("a == \"true\"", "never equals \"true\"", "a == true"),
            ("a == \"False\"", "never equals", "a == False"),
            ("v == 1.2.0", "compares texts", "v in [1.2.0,1.2.0]"),
            ("v == \"1.2.0\"", "compares texts", "v in [1.2.0,1.2.0]"),
            ("v in 1.0.0", "or later where", "v in [1.0.0,INFINITY)"),
            ("v in [2.0.0,1.0.0]", "wrong way round", "lower version first"),
            ("v in [INFINITY,1.0.0]", "", ""),
            ("v in [1.0.0,1.0.0)", "looks empty, and has 1.0.0", "[1.0.0,1.0.0]"),
            ("v in (1.0.0,1.0.0)", "has no version", "[1.0.0,1.0.0]"),
            ("n == 9007199254740993", "is 9007199254740992", "quote"),
        ] {
            let Ok(constraint) = Constraint::parse(text) else {
                assert!(what.is_empty(), "{text}");
                continue;
            };
            let traps = constraint.traps();
            assert_eq!(traps.len(), 1, "{text}: {traps:?}");
            assert!(traps[0].what.contains(what), "{text}: {traps:?}");
            assert!(traps[0].help.contains(help), "{text}: {traps:?}");
        }
    }

    #[test]
    fn what_means_what_it_says_is_not_told() {
        for text in [
            "a == x AND n >= 5",
            "a == true",
            "n == 9007199254740992",
            "v in [1.0.0,2.0.0)",
            "v in [1.0.0,1.0.0]",
            "v in (1.0.0,INFINITY)",
            "a in \"x,y\"",
            "a == \"1.2\"",
            "n < 1.5",
            "",
        ] {
            assert_eq!(told(text), [], "{text}");
        }
    }

    #[test]
    fn a_trap_knows_where_its_clause_begins() {
        let places: Vec<_> =
            told("ü == \"é\" AND (b => 5 OR c == 1.2.0)").iter().map(|it| it.0).collect();
        assert_eq!(places, [14, 24]);
    }
}
