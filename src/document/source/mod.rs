//! A document as its author wrote it: JSON with `/* comments */`, or YAML, and `$VARIABLES` in either.
//!
//! Everything in it keeps the place where it stands in the author's file, so that every problem
//! has a line and a column.

mod expand;
mod flaw;
mod json;
mod lines;
mod strip;
mod surrogates;
mod trace;
mod tree;
mod variables;
mod yaml;

use std::collections::BTreeSet;

use serde_json::Value;

pub(super) use self::tree::{Content, Edits, Member, Node};
pub use self::variables::Variables;
use self::{
    expand::Expander,
    flaw::{Flaw, Flaws, Undefined},
    lines::Lines,
    trace::Traced,
};
use crate::document::problem::{Problem, Problems, Severity};

/// A longer file is refused; the longest real definition has 40 KiB.
const LONGEST: usize = 1 << 20;

/// A document that has been read, and not yet been checked for what it says.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    lines: Lines,
    root: Node,
    warnings: Vec<Problem>,
    undefined: Vec<Undefined>,
}

impl Source {
    /// Reads a file: takes out comments, puts in variables, and reads the JSON, or the YAML if `name`
    /// ends so, or ends in neither way and the text looks so. `name` is what problems are reported with.
    ///
    /// A variable that is not among `variables` becomes empty, with a warning. Inside a text a
    /// value stands for itself, whatever quotes and backslashes it has.
    pub fn read(name: &str, text: &str, variables: &Variables) -> Result<Self, Problems> {
        Self::read_with(name, text, Some(variables))
    }

    /// The same, but `$` means nothing.
    pub fn read_as_it_is(name: &str, text: &str) -> Result<Self, Problems> {
        Self::read_with(name, text, None)
    }

    fn read_with(name: &str, text: &str, variables: Option<&Variables>) -> Result<Self, Problems> {
        let lines = Lines::of(text);
        let mut found = Flaws::default();
        let root = if text.len() > LONGEST {
            found.push(Flaw::error(0, "the file is larger than 1 MiB", ""));
            None
        } else {
            let expander = variables.map(Expander::new);
            if is_yaml(name, text) {
                yaml::parse(text, &lines, expander, &mut found)
            } else {
                read_json(text, expander, &mut found)
            }
        };
        let mut all: Vec<_> = found.iter().map(|flaw| lines.problem(flaw)).collect();
        all.sort_by_key(|it| (it.line, it.column));
        match root {
            Some(root) if found.is_usable() => {
                let undefined = found.undefined;
                Ok(Self { name: name.to_owned(), lines, root, warnings: all, undefined })
            }
            _ => Err(Problems { file: name.to_owned(), all }),
        }
    }

    /// The name that problems are reported with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says, without places.
    pub fn to_value(&self) -> Value {
        self.root.to_value()
    }

    /// What could be read, and yet looks wrong.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The undefined variable that a text of the author's file asks for, and what to do about it.
    pub(super) fn undefined_in(&self, node: &Node) -> Option<(&str, String)> {
        if !matches!(node.content, Content::Text(_)) {
            return None;
        }
        let written = self.lines.from(node.at);
        let length = match written.as_bytes().first() {
            Some(b'"') => strip::string_length(written),
            _ => written.find('\n').unwrap_or(written.len()),
        };
        let place = node.at..node.at + length;
        let found = self.undefined.iter().find(|it| place.contains(&it.at))?;
        Some((found.name.as_str(), found.help()))
    }

    /// The warnings but those of undefined variables that were told of as errors.
    pub(super) fn warnings_without(&self, told: &BTreeSet<String>) -> Vec<Problem> {
        let told = self.undefined.iter().filter(|it| told.contains(&it.name));
        let told: BTreeSet<_> = told.map(|it| it.warning().what).collect();
        self.warnings.iter().filter(|it| !told.contains(&it.what)).cloned().collect()
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// The line and the column, both counted from 1, of a value of the author's file, by its path as
    /// problems have it: `deployment.services.web.image`, `constraints[0]`. In a text it is the place
    /// of the character after the first `offset` ones, wherever escapes, variables and comments stand.
    pub fn place_of(&self, path: &str, offset: usize) -> Option<(usize, usize)> {
        Some(self.lines.place(self.root.find(path)?.origin(offset)))
    }

    /// A line of the author's file, counted from 1.
    pub fn line(&self, line: usize) -> Option<&str> {
        self.lines.line(line)
    }

    /// The line and the column of a byte of the author's file.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        self.lines.place(at)
    }
}

fn read_json(text: &str, expander: Option<Expander<'_>>, found: &mut Flaws) -> Option<Node> {
    let mut stripped = strip::strip(text, found);
    surrogates::replace_unpaired(&mut stripped, found);
    let mut source = Traced::copy_of(stripped);
    let is_fine = found.is_usable();
    if let Some(mut expander) = expander {
        source = expander.json(&source, found);
    }
    let Some(mut root) = json::parse(&source, found) else {
        if is_fine {
            name_empty_value(found);
        }
        return None;
    };
    // It tells editors how to check the file, and is no part of what the file says.
    if let Content::Object(members) = &mut root.content {
        members.retain(|member| member.name != "$schema");
    }
    Some(root)
}

/// Tells why a value is missing, where an undefined variable stands for it without quotes.
fn name_empty_value(found: &mut Flaws) {
    let error = found.iter().find(|it| it.severity == Severity::Error).map(|it| it.at);
    let before = |it: &&Undefined| it.is_bare && error.is_some_and(|at| it.at <= at);
    if let Some(cause) = found.undefined.iter().rfind(before).cloned() {
        let what = format!("the value is empty: {} is not defined", cause.name);
        let flaw = Flaw::error(cause.at, what, cause.help());
        found.put_in_place_of(&cause, flaw);
    }
}

/// Whether a file is YAML: its name says so, or else what it begins with.
fn is_yaml(name: &str, text: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("yaml" | "yml") => true,
        Some("json") => false,
        _ => {
            let start = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            !start.is_empty() && !start.starts_with(['{', '[', '"', '/', '}', ']'])
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Source, Problems> {
        let variables =
            Variables::from_iter([("NAME", "hello"), ("QUOTED", "a \"b\" \\"), ("N", "5")]);
        Source::read("f.json", text, &variables)
    }

    /// Where the problems are, and a word of each.
    fn problems(text: &str) -> Vec<(usize, usize, String)> {
        let all = read(text).unwrap_err().all;
        all.into_iter().map(|it| (it.line, it.column, format!("{} {}", it.what, it.help))).collect()
    }

    #[test]
    fn comments_and_variables_are_read() {
        let source = read(
            r#"/* "a" $GONE */ {"a": "x/* no comment */", "${NAME}": $N /* é */,
               "q": "$QUOTED", "d": "$ $5 ${", "e": "$NAME-$NAME"}"#,
        );
        let expected = json!({"a": "x/* no comment */", "hello": 5, "q": "a \"b\" \\",
            "d": "$ $5 ${", "e": "hello-hello"});
        let source = source.unwrap();
        assert_eq!(source.to_value(), expected);
        let plain = Source::read_as_it_is("f.json", r#"{"a":"$NAME"}"#).unwrap();
        assert_eq!(plain.to_value(), json!({"a": "$NAME"}));
    }

    #[test]
    fn the_schema_of_a_document_is_for_editors() {
        let text = r#"{"$schema": "https://e/$defs", "a": {"$schema": "$NAME", "$NAME": 1}, "b": "$NAME"}"#;
        let source = read(text).unwrap();
        assert_eq!(source.to_value(), json!({"a": {"": "hello", "hello": 1}, "b": "hello"}));
        assert_eq!(source.warnings().len(), 1, "{:?}", source.warnings());
    }

    #[test]
    fn every_character_of_a_text_has_its_place() {
        let text =
            "{ /* é */ \"a.b\": [\"x\", \"é\\n\\u00e9\\ud83d\\ude00<$NAME>y\"],\n \"n\": 1.10}";
        let source = read(text).unwrap();
        assert_eq!(source.to_value()["a.b"][1], "é\né😀<hello>y");
        let columns: Vec<_> = (0..=11).map(|at| source.place_of("a.b[1]", at).unwrap().1).collect();
        assert_eq!(columns, [25, 26, 28, 34, 46, 47, 47, 47, 47, 47, 52, 53]);
        assert_eq!(source.place_of("a.b[1]", 99), Some((1, 54)));
        assert_eq!(source.place_of("a.b[0]", 0), Some((1, 20)));
        assert_eq!(source.place_of("n", 7), Some((2, 7)));
        assert_eq!(source.place_of("", 0), Some((1, 1)));
        for path in ["a", "a.b[2]", "a.b[1].c", "a.b[x]", "a.b.", "n[0]"] {
            assert_eq!(source.place_of(path, 0), None, "{path}");
        }
    }

    #[test]
    fn what_hzn_would_cut_out_of_a_text_is_told() {
        let text = "{\"a\": \"x/* y */\", \"b\": \"$5 $NAME ${ $ 5\",\n \"c\": \"a/*\"} /* z */";
        let source = read(text).unwrap();
        assert_eq!(source.to_value(), json!({"a": "x/* y */", "b": "$5 hello ${ $ 5", "c": "a/*"}));
        let told = source.warnings().iter();
        let told: Vec<_> = told.map(|it| (it.line, it.column, it.what.as_str())).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        for ((line, column, word), told) in
            [(1, 9, "`/*`"), (1, 25, "`$5`"), (1, 34, "`${`"), (2, 9, "`/*`")].iter().zip(told)
        {
            assert_eq!((*line, *column), (told.0, told.1), "{told:?}");
            assert!(told.2.contains(word), "{told:?}");
        }
        assert!(read("{\"a\": \"x/* y\"}").unwrap().warnings().is_empty());
    }

    #[test]
    fn an_undefined_variable_is_empty_and_told_once() {
        let source = read("{\"a\": \"<$GONE>\",\n \"b\": \"${GONE}$OTHER\"}").unwrap();
        assert_eq!(source.to_value(), json!({"a": "<>", "b": ""}));
        let places: Vec<_> = source.warnings().iter().map(|it| (it.line, it.column)).collect();
        assert_eq!(places, [(1, 9), (2, 15)]);
    }

    #[test]
    fn a_variable_that_is_named_like_a_secret_is_told_by_its_name_alone() {
        let secrets = [
            "AWS_SECRET_ACCESS_KEY",
            "GH_TOKEN",
            "db_password",
            "X_PASSWD",
            "CREDENTIALS_1",
            "MY_API_KEY",
        ];
        let others = ["KEYBOARD", "MONKEY", "IMAGE"];
        let variables: Variables =
            secrets.iter().chain(&others).map(|name| (*name, "canary")).collect();
        for name in secrets {
            for (file, text) in [
                ("f.json", format!("{{\"a\": \"${name} ${name}\"}}")),
                ("f.yaml", format!("a: ${name} ${name}")),
            ] {
                let source = Source::read(file, &text, &variables).unwrap();
                assert_eq!(source.to_value(), json!({"a": "canary canary"}));
                let [told] = source.warnings() else { panic!("{:?}", source.warnings()) };
                let told = told.to_string();
                assert!(told.contains(name) && !told.contains("canary"), "{told}");
            }
        }
        for name in others {
            let source = Source::read("f.json", &format!("{{\"a\": \"${name}\"}}"), &variables);
            assert!(source.unwrap().warnings().is_empty(), "{name}");
        }
    }

    #[test]
    fn a_syntax_error_has_its_place_in_the_authors_file() {
        let text = "{ /* é\n */ \"$NAME\": \"$NAME$NAME\",\n  \"b\": ? }";
        assert_eq!(problems(text)[0].0, 3);
        assert_eq!(problems(text)[0].1, 8);
        for (text, line, column, word) in [
            ("{\n\u{a0}\"a\": 1}", 2, 1, "no-break space"),
            ("{\"a\": 1,\n}", 1, 8, "comma"),
            ("[1,2,]", 1, 5, "comma"),
            ("{\"a\": 1 // one\n}", 1, 9, "/*"),
            ("{\"a\": /* one", 1, 7, "*/"),
            ("{\"a\": 1\n", 1, 1, "}"),
            ("{\"a\": 1 \"b\": 2}", 1, 8, "comma"),
            ("{\"a\": \"x\ny\"}", 1, 9, "escape"),
            ("{a: 1}", 1, 2, "quotes"),
            ("{\u{201c}a\u{201d}: 1}", 1, 2, "straight"),
            ("{\"a\": 'x'}", 1, 7, "double"),
            ("{\"a\": 01}", 1, 8, ""),
            ("{\"a\": 1e400}", 1, 7, "range"),
            ("{\"a\": True}", 1, 7, "true"),
            ("", 1, 1, "empty"),
            ("{} {}", 1, 4, "one"),
        ] {
            let found = problems(text);
            assert_eq!((found[0].0, found[0].1), (line, column), "{text:?} {found:?}");
            assert!(found[0].2.contains(word), "{text:?} {found:?}");
        }
    }

    #[test]
    fn slips_are_told_all_at_once() {
        assert_eq!(problems("{\"a\": [1,],\u{a0} // x\n \"b\": 2,}").len(), 4);
    }

    #[test]
    fn a_file_with_flaws_without_end_is_told_of_some() {
        let begun = std::time::Instant::now();
        let slips = "1,]\n".repeat(LONGEST / 5);
        let found = problems(&format!("[{slips}"));
        assert!((100..=102).contains(&found.len()), "{}", found.len());
        assert!(found.iter().any(|it| it.2.contains("more than 100")), "{found:?}");
        // Warnings keep no error from being told.
        let again = "\"a\": 1,".repeat(1000);
        let source = read(&format!("{{{again}\"a\": 1}}")).unwrap();
        assert_eq!(source.warnings().len(), 101);
        let found = problems(&format!("{{\"b\": {{{again}\"a\": 1}}, \"c\": 1,}}"));
        assert!(found.iter().any(|it| it.2.contains("comma")), "{found:?}");
        // A reader whose time is not linear takes minutes.
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    }

    #[test]
    fn of_two_fields_with_one_name_the_last_counts() {
        let source = read("{\"a\": 1,\n \"a\": 2}").unwrap();
        assert_eq!(source.to_value(), json!({"a": 2}));
        assert_eq!((source.warnings()[0].line, source.warnings()[0].column), (2, 2));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let begun = std::time::Instant::now();
        assert!(read(&"[".repeat(LONGEST)).is_err());
        // A reader whose time is not linear takes minutes.
        assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
        assert!(read(&format!("{}{}", "[".repeat(200), "]".repeat(200))).is_err());
        assert!(read(&format!("{}{}", "[".repeat(100), "]".repeat(100))).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in r#"([\[\]{},:"$\\/*\n]|true|\$NAME|//|/\*|\*/|\PC){0,60}"#) {
            // What is read is what a strict reader reads.
            if let Ok(source) = Source::read_as_it_is("f.json", &text)
                && let Ok(strict) = serde_json::from_str::<Value>(&text)
            {
                prop_assert_eq!(source.to_value(), strict);
            }
            let _ = read(&text);
        }

        #[test]
        fn strict_json_is_read(text in "\\PC{0,20}", number: f64) {
            let value = json!({"a": [text, number, null, true]});
            let written = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(Source::read_as_it_is("f.json", &written).unwrap().to_value(), value);
        }
    }
}
