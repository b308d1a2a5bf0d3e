//! Whether properties satisfy a constraint.

use super::ast::{Comparison, Expression, Operator};
use crate::{
    document::property::{Properties, PropertyType, PropertyValue, is_plain_version},
    types::{VersionOrInfinity, VersionRange},
};

pub(super) fn holds(expression: &Expression, properties: &Properties) -> bool {
    match expression {
        Expression::All(parts, _) => parts.iter().all(|it| holds(it, properties)),
        Expression::Any(parts, _) => parts.iter().any(|it| holds(it, properties)),
        Expression::Compare(comparison) => satisfied(comparison, properties),
    }
}

/// The first property of that name decides, unless its value cannot be compared this way.
pub(super) fn satisfied(comparison: &Comparison, properties: &Properties) -> bool {
    properties
        .iter()
        .filter(|it| it.name == comparison.name)
        .find_map(|it| compare(&it.value, &it.declared, comparison))
        .unwrap_or(false)
}

/// `None` if such a value cannot be compared this way.
fn compare(value: &PropertyValue, declared: &PropertyType, with: &Comparison) -> Option<bool> {
    let wanted = with.value.as_str();
    match value {
        PropertyValue::Number(number) => {
            let number = number.as_f64()?;
            Some(wanted.parse().is_ok_and(|wanted| compare_numbers(number, with.operator, wanted)))
        }
        PropertyValue::Bool(value) => match (boolean(wanted), with.operator) {
            (Some(wanted), Operator::Equal) => Some(*value == wanted),
            (Some(wanted), Operator::NotEqual) => Some(*value != wanted),
            (Some(_), Operator::In) => None,
            _ => Some(false),
        },
        PropertyValue::Text(text) => {
            let (text, wanted) = (bare(text), bare(wanted));
            Some(match with.operator {
                Operator::Equal => text == wanted || lists(text, wanted),
                Operator::NotEqual if *declared == PropertyType::List => !lists(text, wanted),
                Operator::NotEqual => text != wanted,
                Operator::In => is_in(text, declared, wanted),
                _ => false,
            })
        }
        PropertyValue::Unusable(_) => None,
    }
}

#[expect(clippy::float_cmp, reason = "the language compares floats exactly")]
fn compare_numbers(number: f64, operator: Operator, wanted: f64) -> bool {
    match operator {
        Operator::Less => number < wanted,
        Operator::LessOrEqual => number <= wanted,
        Operator::Greater => number > wanted,
        Operator::GreaterOrEqual => number >= wanted,
        Operator::NotEqual => number != wanted,
        Operator::Equal | Operator::NumbersEqual | Operator::In => number == wanted,
    }
}

fn is_in(text: &str, declared: &PropertyType, wanted: &str) -> bool {
    let is_range = || wanted.contains(',') && wanted.parse::<VersionRange>().is_ok();
    if *declared == PropertyType::Version || (is_plain_version(text) && is_range()) {
        let range = wanted.parse::<VersionRange>();
        let point = text.parse::<VersionOrInfinity>();
        return range.is_ok_and(|it| point.is_ok_and(|point| it.contains_point(&point)));
    }
    match declared {
        PropertyType::List => text.split(',').any(|it| lists(wanted, item(it))),
        _ => lists(wanted, item(text)),
    }
}

/// The words that Go's `ParseBool` takes.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Whether the list, parted by commas, has the item.
fn lists(list: &str, wanted: &str) -> bool {
    list.split(',').any(|it| item(it) == item(wanted))
}

/// Without quotes, then without blanks.
fn bare(text: &str) -> &str {
    unquoted(text).trim_matches(' ')
}

/// Without blanks, then without quotes.
fn item(text: &str) -> &str {
    unquoted(text.trim_matches(' '))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(text)
}
