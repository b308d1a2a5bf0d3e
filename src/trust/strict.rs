//! JSON without room for two readings: no name twice in an object, no deep nesting, no number that
//! another reader would round.

use std::{collections::HashSet, fmt};

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};

use crate::types::JsonProblem;

/// How deep arrays and objects may nest; no document of ours needs a third of it.
const MAX_DEPTH: usize = 32;

/// Beyond this, JavaScript and float-based readers lose digits (2^53).
pub(super) const MAX_NUMBER: u64 = 1 << 53;

/// Reads a `T` from `json` after checking that there is one reading of it.
pub(super) fn from_slice<T: DeserializeOwned>(json: &[u8]) -> Result<T, JsonProblem> {
    check(json)?;
    Ok(serde_json::from_slice(json)?)
}

/// Checks `json` without keeping anything of it.
pub(super) fn check(json: &[u8]) -> Result<(), JsonProblem> {
    let mut from = serde_json::Deserializer::from_slice(json);
    Strict { depth: 0 }.deserialize(&mut from)?;
    Ok(from.end()?)
}

struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: Error>(&self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format!("more than {MAX_DEPTH} levels of nesting")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("strict JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        if number < MAX_NUMBER { Ok(()) } else { Err(too_large(number)) }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        if number.unsigned_abs() < MAX_NUMBER { Ok(()) } else { Err(too_large(number)) }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        // An integer of more than 64 bits arrives here too.
        const MAX: f64 = 9_007_199_254_740_992.0;
        if number.abs() < MAX { Ok(()) } else { Err(too_large(number)) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(Strict { depth: inner.depth })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            fields.next_value_seed(Strict { depth: inner.depth })?;
            if let Some(twice) = seen.replace(name) {
                return Err(A::Error::custom(format!("field `{twice}` stands twice")));
            }
        }
        Ok(())
    }
}

fn too_large<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format!("number {number} is beyond 2^53"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_json_passes() {
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        for json in
            [r#"{"a":{"b":1},"c":{"b":[null,true,"x",-1.5,-1]}}"#, "9007199254740991", &deep]
        {
            check(json.as_bytes()).unwrap();
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let deep = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
        for json in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"b":{"a":1,"a":1}}]"#,
            "9007199254740992",
            "9007199254740992.0",
            "-9007199254740992",
            "123456789012345678901234567890",
            "1e300",
            "{} {}",
            "",
            &deep,
        ] {
            assert!(check(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn a_hundred_thousand_levels_end_quickly() {
        assert!(check("[".repeat(100_000).as_bytes()).is_err());
    }
}
