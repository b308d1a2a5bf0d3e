//! The fields of an object, by their types.

use std::{fmt::Display, str::FromStr};

use super::Inspector;
use crate::document::source::{Content, Member, Node};

/// A value and its path in the document.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
}

/// Whether a field may be left out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need {
    /// It must be there; the text is an example of what to write.
    Required(&'static str),
    /// It may be left out, null or empty.
    Optional,
}

/// The fields of an object; which names are asked for, is what fields the object has.
pub(super) struct Fields<'a> {
    place: Place<'a>,
    members: &'a [Member],
    asked: Vec<&'static str>,
    /// Fields that are written in another case than they have.
    respelled: Vec<(&'a Member, &'static str)>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(place: &Place<'a>, members: &'a [Member]) -> Self {
        Self { place: place.clone(), members, asked: Vec::new(), respelled: Vec::new() }
    }

    /// The object itself.
    pub(super) fn place(&self) -> &Place<'a> {
        &self.place
    }

    /// The value of a field; null is none. Its name may be in another case, as for Horizon's programs, which Go reads
    /// names so; of several the last counts.
    pub(super) fn get(&mut self, name: &'static str) -> Option<Place<'a>> {
        self.asked.push(name);
        let mut named = self.members.iter().filter(|it| it.name.eq_ignore_ascii_case(name));
        let respelled = named.clone().filter(|it| it.name != name);
        self.respelled.extend(respelled.map(|it| (it, name)));
        let member = named.next_back()?;
        let place = Place { node: &member.node, path: self.path_of(name) };
        (!matches!(place.node.content, Content::Null)).then_some(place)
    }

    /// Every field, where the names are the author's.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Place<'a>)> {
        self.members.iter().map(|member| {
            (member.name.as_str(), Place { node: &member.node, path: self.path_of(&member.name) })
        })
    }

    pub(super) fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    pub(super) fn respelled(&self) -> &[(&'a Member, &'static str)] {
        &self.respelled
    }

    pub(super) fn unknown(&self) -> impl Iterator<Item = &'a Member> + use<'a> {
        let asked = self.asked.clone();
        let is_known =
            move |it: &&Member| asked.iter().any(|name| it.name.eq_ignore_ascii_case(name));
        self.members.iter().filter(move |it| !is_known(it))
    }

    /// Whether it has fields, and none of those that were asked for.
    pub(super) fn are_all_unknown(&self) -> bool {
        !self.members.is_empty() && self.unknown().count() == self.members.len()
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        if self.place.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.place.path)
        }
    }
}

impl<'a> Inspector<'a> {
    /// A text; an empty one is like none.
    pub(super) fn text(
        &mut self,
        fields: &mut Fields<'a>,
        name: &'static str,
        need: Need,
    ) -> Option<(Place<'a>, &'a str)> {
        if let Some(place) = fields.get(name) {
            match self.text_of(&place)? {
                "" => self.lacks(&place, need),
                text => return Some((place, text)),
            }
        } else {
            let place = Place { path: fields.path_of(name), ..fields.place().clone() };
            self.lacks(&place, need);
        }
        None
    }

    fn lacks(&mut self, place: &Place<'_>, need: Need) {
        if let Need::Required(example) = need {
            let name = place.path.rsplit('.').next().unwrap_or(&place.path);
            self.error(place, format!("`{name}` is missing"), format!("add \"{name}\": {example}"));
        }
    }

    /// A text that can be read as a `T`.
    pub(super) fn parsed<T>(
        &mut self,
        fields: &mut Fields<'a>,
        name: &'static str,
        need: Need,
    ) -> Option<(Place<'a>, T)>
    where
        T: FromStr<Err: Display>,
    {
        let (place, text) = self.text(fields, name, need)?;
        let value = self.parse(&place, text)?;
        Some((place, value))
    }

    pub(super) fn parse<T>(&mut self, place: &Place<'_>, text: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        text.parse().map_err(|error: T::Err| self.error(place, error.to_string(), "")).ok()
    }

    /// A text, wherever it stands.
    pub(super) fn text_of(&mut self, place: &Place<'a>) -> Option<&'a str> {
        match &place.node.content {
            Content::Text(text) => Some(text),
            Content::Number(_) | Content::Bool(_) => {
                let plain = || place.node.to_value().to_string();
                let written = place.node.written.clone().unwrap_or_else(plain);
                // Nobody reads more of a number than this.
                let help = if written.len() < 40 {
                    format!("put it into quotes: \"{written}\"")
                } else {
                    "put it into quotes".to_owned()
                };
                self.wrong_type(place, "a text", help);
                None
            }
            _ => {
                self.wrong_type(place, "a text", "");
                None
            }
        }
    }

    pub(super) fn flag(&mut self, fields: &mut Fields<'a>, name: &'static str) -> Option<bool> {
        let place = fields.get(name)?;
        if let Content::Bool(value) = &place.node.content {
            Some(*value)
        } else {
            let help = match place.node.written.as_deref() {
                Some("yes" | "Yes" | "YES" | "on" | "On" | "ON") => "write true",
                Some("no" | "No" | "NO" | "off" | "Off" | "OFF") => "write false",
                _ => "it stands without quotes",
            };
            self.wrong_type(&place, "true or false", help);
            None
        }
    }

    /// A whole number from 0 on; 0 if it is left out.
    pub(super) fn whole(&mut self, fields: &mut Fields<'a>, name: &'static str) -> u64 {
        let Some(place) = fields.get(name) else { return 0 };
        let number = match &place.node.content {
            Content::Number(number) => number.as_u64(),
            _ => None,
        };
        if number.is_none() {
            self.wrong_type(&place, "a whole number from 0 on", "");
        }
        number.unwrap_or(0)
    }

    pub(super) fn number(
        &mut self,
        fields: &mut Fields<'a>,
        name: &'static str,
    ) -> Option<Place<'a>> {
        let place = fields.get(name)?;
        if matches!(place.node.content, Content::Number(_)) {
            return Some(place);
        }
        self.wrong_type(&place, "a number", "");
        None
    }

    /// The items of a list; none if it is left out.
    pub(super) fn items(&mut self, fields: &mut Fields<'a>, name: &'static str) -> Vec<Place<'a>> {
        match fields.get(name) {
            Some(place) => self.items_of(&place),
            None => Vec::new(),
        }
    }

    pub(super) fn items_of(&mut self, place: &Place<'a>) -> Vec<Place<'a>> {
        let Content::List(items) = &place.node.content else {
            self.wrong_type(place, "a list", "");
            return Vec::new();
        };
        let item = |(index, node)| Place { node, path: format!("{}[{index}]", place.path) };
        items.iter().enumerate().map(item).collect()
    }

    /// The texts of a list.
    pub(super) fn texts(
        &mut self,
        fields: &mut Fields<'a>,
        name: &'static str,
    ) -> Vec<(Place<'a>, &'a str)> {
        let items = self.items(fields, name);
        items.into_iter().filter_map(|it| self.text_of(&it).map(|text| (it, text))).collect()
    }

    /// An object whose fields are texts.
    pub(super) fn map_of_texts(&mut self, fields: &mut Fields<'a>, name: &'static str) {
        for (_, place) in self.entries(fields, name) {
            self.text_of(&place);
        }
    }

    /// The fields of an object that has the author's names.
    pub(super) fn entries(
        &mut self,
        fields: &mut Fields<'a>,
        name: &'static str,
    ) -> Vec<(&'a str, Place<'a>)> {
        let Some(place) = fields.get(name) else { return Vec::new() };
        self.entries_of(&place)
    }

    pub(super) fn entries_of(&mut self, place: &Place<'a>) -> Vec<(&'a str, Place<'a>)> {
        if let Content::Object(members) = &place.node.content {
            Fields::of(place, members).entries().collect()
        } else {
            self.wrong_type(place, "an object", "");
            Vec::new()
        }
    }

    pub(super) fn wrong_type(
        &mut self,
        place: &Place<'_>,
        expected: &str,
        help: impl Into<String>,
    ) {
        self.error(place, format!("expected {expected}, found {}", place.node.kind()), help);
    }
}
