//! What is wrong with a file that is no YAML, in people's words.

use serde_saphyr::granit_parser::ErrorKind as Kind;

/// What is wrong and what helps.
pub(super) fn explain(kind: &Kind) -> (String, &'static str) {
    let (what, help) = match kind {
        Kind::TabNotAllowed
        | Kind::TabInBlockIndentation
        | Kind::TabInIndentation
        | Kind::TabAtBlockScalarStart
        | Kind::TabInPlainScalar => ("a tab where YAML has blanks alone", "indent with blanks"),
        Kind::UnclosedQuotedScalar
        | Kind::DocumentIndicatorInQuotedScalar
        | Kind::InvalidQuotedScalarIndent => {
            ("a text in quotes that does not end", "close it by the quote that began it")
        }
        Kind::InvalidTrailingSingleQuotedScalar | Kind::InvalidTrailingDoubleQuotedScalar => (
            "something stands behind the quote that ends a text",
            "write \\\" inside of \"…\", and '' inside of '…'",
        ),
        Kind::UnknownQuotedScalarEscape
        | Kind::InvalidQuotedScalarHexEscape
        | Kind::InvalidUnicodeEscape => (
            "an escape that does not exist",
            "write \\\\ for a backslash, or put the text into 'single quotes'",
        ),
        Kind::UnclosedFlowCollection { open: '[' } | Kind::UnexpectedEofFlowSequence => {
            ("a list that does not end", "close it by ]")
        }
        Kind::UnclosedFlowCollection { .. } | Kind::UnexpectedEofFlowMapping => {
            ("an object that does not end", "close it by }")
        }
        Kind::MismatchedFlowCollectionEnd { .. } | Kind::MisplacedFlowCollectionEnd => {
            ("a bracket that closes nothing", "a text with brackets stands in quotes")
        }
        Kind::ExpectedFlowMappingSeparator | Kind::ExpectedFlowSequenceSeparator => (
            "expected a comma or the closing bracket",
            "between brackets a text with { } [ ] or a comma stands in quotes: \"${NAME}\"",
        ),
        Kind::InvalidIndentation
        | Kind::ExpectedBlockMappingKey
        | Kind::ExpectedBlockSequenceEntry
        | Kind::ExpectedNodeContent => (
            "this does not belong to what stands before it",
            "give all fields of an object, and all items of a list, the same indentation",
        ),
        Kind::SimpleKeyExpected | Kind::InvalidSimpleKey => (
            "expected `name: value`",
            "is the colon missing, the blank behind it, or is a name longer than 1024 characters?",
        ),
        Kind::MappingValueNotAllowed
        | Kind::InvalidColonPlacement
        | Kind::MappingKeyNotAllowed
        | Kind::InvalidMappingValueWhitespace => (
            "a colon that is not expected here",
            "a text with a colon and a blank stands in quotes",
        ),
        Kind::BlockSequenceEntryNotAllowed | Kind::BlockEntryInFlowCollection => {
            ("an item of a list that is not expected here", "each `- ` item begins its own line")
        }
        Kind::UnexpectedCharacter { character } => {
            let what = format!("a text cannot begin with `{}`", character.escape_debug());
            return (what, "put the text into quotes");
        }
        Kind::RecursionLimitExceeded => ("nested deeper than 100 levels", ""),
        Kind::UnsupportedYamlMajorVersion => ("this is not YAML 1", "take the %YAML line away"),
        Kind::UndeclaredTagHandle => {
            ("documents have no tags", "a text with `!` at its beginning stands in quotes")
        }
        _ => return (kind.to_string(), ""),
    };
    (what.to_owned(), help)
}
