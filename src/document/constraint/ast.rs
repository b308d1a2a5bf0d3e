//! What a constraint says, once it is read.

use std::fmt;

/// A tree of comparisons, each with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// Every part holds; with no parts it always holds.
    All(Vec<Expression>, Span),
    /// One of the parts holds.
    Any(Vec<Expression>, Span),
    /// One comparison.
    Compare(Comparison),
}

/// From where to where something stands in the text of a constraint, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Expression {
    /// Shows every comparison to `see`, in their order.
    pub(super) fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Comparison)) {
        match self {
            Self::All(parts, _) | Self::Any(parts, _) => parts.iter().for_each(|it| it.visit(see)),
            Self::Compare(comparison) => see(comparison),
        }
    }

    /// Where it stands, without parentheses round the whole of it.
    pub(super) fn span(&self) -> Span {
        match self {
            Self::All(_, span) | Self::Any(_, span) => *span,
            Self::Compare(comparison) => comparison.span,
        }
    }
}

/// `name op value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The name of the property; a blank at the start of the constraint belongs to it.
    pub name: String,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with; quotes belong to it.
    pub value: String,
    /// Where it stands.
    pub(super) span: Span,
}

/// How a property is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=` and `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `=<`, `=>`, `=<=` and `=>=`, which mean that two numbers are equal (Horizon fact).
    NumbersEqual,
    /// `in`
    In,
}

impl Operator {
    /// The operator that is written as `text`.
    pub(super) fn of(text: &str) -> Self {
        match text {
            "in" => Self::In,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "=" | "==" => Self::Equal,
            _ => Self::NumbersEqual,
        }
    }

    /// As it is written best.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::NumbersEqual => "=>",
            Self::In => "in",
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.operator.as_str(), self.value)
    }
}
