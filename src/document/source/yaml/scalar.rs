//! What a YAML scalar without quotes means, by the core schema of YAML 1.2, and where older readers
//! would see something else.

use serde_json::Number;

use crate::document::source::json::number;

/// What a scalar without quotes means.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    Null,
    Bool(bool),
    Number(Number),
    /// A text, which readers of YAML 1.1 take for this boolean.
    Word(&'static str),
    Text,
    /// It cannot be said in JSON, or means different things.
    Refused {
        what: String,
        help: String,
    },
}

impl Meaning {
    pub(super) fn of(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Self::Word("true"),
            "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Self::Word("false"),
            _ => (),
        }
        let quoted = || format!("put it into quotes: \"{text}\"");
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
        {
            return Self::Refused {
                what: format!("`{text}` is no number in JSON"),
                help: quoted(),
            };
        }
        for (prefix, radix) in [("0o", 8), ("0x", 16)] {
            if let Some(digits) = text.strip_prefix(prefix)
                && digits.starts_with(|c: char| c.is_digit(radix))
                && let Ok(number) = u64::from_str_radix(digits, radix)
            {
                return Self::Number(number.into());
            }
        }
        if !is_number(unsigned) {
            return Self::Text;
        }
        let has_zero = unsigned.len() > 1 && unsigned.starts_with('0');
        if has_zero && unsigned.bytes().all(|b| b.is_ascii_digit()) {
            let what =
                format!("`{text}` is octal for some readers of YAML, and decimal for others");
            let help = format!("{}, or write it without the zero", quoted());
            return Self::Refused { what, help };
        }
        number(text).map_or_else(
            || Self::Refused { what: format!("the number {text} is out of range"), help: quoted() },
            Self::Number,
        )
    }
}

/// `12`, `1.5`, `.5`, `5.` or one of them with an exponent.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_fits = exponent.is_none_or(|it| {
        let it = it.strip_prefix(['-', '+']).unwrap_or(it);
        !it.is_empty() && digits(it)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent_fits && digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_yaml_1_2_says() {
        let number = |text: &str| Meaning::Number(serde_json::from_str(text).unwrap());
        for (text, meaning) in [
            ("~", Meaning::Null),
            ("True", Meaning::Bool(true)),
            ("tRUE", Meaning::Text),
            ("1.10", number("1.1")),
            ("+5", number("5")),
            ("-7", number("-7")),
            (".5", number("0.5")),
            ("5.", number("5.0")),
            ("1e3", number("1000.0")),
            ("0x1f", number("31")),
            ("0o17", number("15")),
            ("0x+1", Meaning::Text),
            ("1.2.3", Meaning::Text),
            ("2024-01-01", Meaning::Text),
            ("22:22", Meaning::Text),
            ("1_000", Meaning::Text),
            ("0.0.0.0/0", Meaning::Text),
            (".", Meaning::Text),
            ("-", Meaning::Text),
            ("e5", Meaning::Text),
            ("1e", Meaning::Text),
            ("no", Meaning::Word("false")),
            ("ON", Meaning::Word("true")),
            ("y", Meaning::Text),
        ] {
            assert_eq!(Meaning::of(text), meaning, "{text}");
        }
        for text in ["0644", "-010", ".inf", "-.Inf", ".nan", "1e999"] {
            assert!(matches!(Meaning::of(text), Meaning::Refused { .. }), "{text}");
        }
    }
}
