use std::{fmt::Write as _, time::Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::document::{
    problem::{Problem, Problems},
    source::{Source, Variables},
};

fn variables() -> Variables {
    let hostile = "x\nb: 1 # \"'";
    Variables::from_iter([("NAME", "hello"), ("N", "5"), ("V", "1.10"), ("HOSTILE", hostile)])
}

fn read(text: &str) -> Result<Source, Problems> {
    Source::read("f.yaml", text, &variables())
}

fn tell(all: &[Problem]) -> Vec<String> {
    all.iter().map(|it| format!("{}:{} {} | {}", it.line, it.column, it.what, it.help)).collect()
}

#[track_caller]
fn refused(text: &str) -> Vec<String> {
    tell(&read(text).expect_err(text).all)
}

#[test]
fn a_document_says_the_same_in_yaml_and_in_json() {
    let yaml = r#"# A comment, with $GONE in it.
%YAML 1.2
---
label: $NAME's "label"   # and another
n: $N
version: '$V'
plain: a$b ${NAME}-${NAME} # $GONE
colon: http://x:80/#a
hostile: $HOSTILE
empty:
gone: ""
on: [true, ~, -1, 1.5, "${NAME}", '$N', x y]
"${NAME}": {a: 1, 'b': "\u00e9\t\"$NAME\""}
literal: |
  one $NAME
    two
  # no comment

folded: >-
  one
  two

  three
multi: one
  two
list:
- - a
  - b
-
  c: d
"#;
    let expected = json!({
        "label": "hello's \"label\"", "n": 5, "version": "1.10", "plain": "a hello-hello",
        "colon": "http://x:80/#a", "hostile": "x\nb: 1 # \"'", "empty": null, "gone": "",
        "on": [true, null, -1, 1.5, "hello", "5", "x y"],
        "hello": {"a": 1, "b": "é\t\"hello\""},
        "literal": "one hello\n  two\n# no comment\n", "folded": "one two\nthree",
        "multi": "one two", "list": [["a", "b"], {"c": "d"}],
    });
    // A directive stands before all else but comments.
    let source = read(yaml).unwrap();
    assert_eq!(source.to_value(), expected);
    assert_eq!(tell(source.warnings()).len(), 1, "{:?}", source.warnings());
    let json = Source::read("f.json", &expected.to_string(), &Variables::new()).unwrap();
    assert_eq!(json.to_value(), expected);
}

#[test]
fn the_kind_of_a_file_is_seen_by_its_name_or_by_its_beginning() {
    for (name, text) in [
        ("a.yaml", "{a: 1}"),
        ("a.YML", "\"a\": 1"),
        ("-", "a: 1"),
        ("/dev/stdin", "# c\na: 1"),
        ("policy", "---\na: 1"),
        ("-", "\u{feff} {\"a\": 1}"),
        ("-", "/* c */ {\"a\": 1}"),
        ("a.json", "{\"a\": 1}"),
    ] {
        let source = Source::read(name, text, &Variables::new()).unwrap();
        assert_eq!(source.to_value(), json!({"a": 1}), "{name} {text}");
    }
    assert!(Source::read("a.json", "a: 1", &Variables::new()).is_err());
    assert!(Source::read("-", "{a: 1}", &Variables::new()).is_err());
}

#[test]
fn the_schema_of_a_document_is_for_editors() {
    let source = read("$schema: https://e/$defs\na: {$schema: 1}\n").unwrap();
    assert_eq!(source.to_value(), json!({"a": {"": 1}}));
}

#[test]
fn every_character_of_a_text_has_its_place() {
    let text = "plain: aé<$NAME>y\nsingle: 'it''s'\ndouble: \"a\\tb\\u00e9c \\\n   d\"\nliteral: |\n    ab\n      cd\nfolded: >\n  ab\n  cd\n";
    let source = read(text).unwrap();
    let place = |path: &str, wanted: char| {
        let value = source.to_value();
        let offset = value[path].as_str().unwrap().chars().position(|c| c == wanted).unwrap();
        source.place_of(path, offset).unwrap()
    };
    for (path, c, expected) in [
        ("plain", 'a', (1, 8)),
        ("plain", '<', (1, 10)),
        ("plain", 'h', (1, 11)),
        ("plain", '>', (1, 16)),
        ("plain", 'y', (1, 17)),
        ("single", '\'', (2, 12)),
        ("single", 's', (2, 14)),
        ("double", '\t', (3, 11)),
        ("double", 'b', (3, 13)),
        ("double", 'c', (3, 20)),
        ("double", 'd', (4, 4)),
        ("literal", 'a', (6, 5)),
        ("literal", 'd', (7, 8)),
        ("folded", 'b', (9, 4)),
        ("folded", ' ', (9, 5)),
        ("folded", 'd', (10, 4)),
    ] {
        assert_eq!(place(path, c), expected, "{path} {c:?}");
    }
    assert_eq!(source.place_of("literal", 0), Some((6, 5)));
    assert_eq!(source.place_of("single", 99), Some((2, 15)));
}

#[test]
fn aliases_and_merged_objects_are_copies() {
    let text = "a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\nd: {<<: [*a, {z: 1}]}\n";
    let expected = json!({
        "a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"y": 3, "x": 1},
        "d": {"x": 1, "y": 2, "z": 1},
    });
    assert_eq!(read(text).unwrap().to_value(), expected);
}

#[test]
fn a_bomb_of_aliases_is_refused_soon() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(laughs, "a{level}: &a{level} [{items}]").unwrap();
    }
    let mut long = format!("a: &a {}\nb:\n", "x".repeat(1000));
    long.push_str(&"- *a\n".repeat(100_000));
    let mut nested = String::new();
    for level in 0..90 {
        write!(nested, "&a{level} [").unwrap();
    }
    nested.push_str(&"1,".repeat(150_000));
    nested.push_str(&"]".repeat(90));
    for bomb in [laughs, long, nested] {
        let begin = Instant::now();
        assert!(refused(&bomb)[0].contains("anchors and aliases"));
        assert!(begin.elapsed().as_secs() < 30, "{:?}", begin.elapsed());
    }
    let variables = Variables::from_iter([("A", "x".repeat(100_000))]);
    for (name, text) in
        [("f.yaml", "- $A\n".repeat(9999)), ("f.json", format!("[\"{}\"]", "$A".repeat(9999)))]
    {
        let problems = Source::read(name, &text, &variables).unwrap_err();
        assert_eq!(problems.all.len(), 1);
        assert!(problems.all[0].what.contains("too long"));
    }
    assert!(refused(&"[".repeat(1 << 20))[0].contains("nested deeper"));
    assert!(refused(&"- ".repeat(500_000))[0].contains("nested deeper"));
}

#[test]
fn what_json_cannot_say_and_what_has_two_meanings_is_told() {
    for (text, place, word) in [
        ("a: 1\nb: 2\na: 3\n", "3:1 ", "line 1"),
        ("a: !!binary xx\n", "1:4 ", "tags"),
        ("a: !x {b: 1}\n", "1:4 ", "tags"),
        ("a: 1\n---\nb: 1\n", "2:1 ", "second document"),
        ("a:\n\tb: 1\n", "2:", "tab"),
        ("a: {b: 1,\n\tc: [}\n", "2:", ""),
        ("8080: a\n", "1:1 ", "\"8080\""),
        ("? [a]\n: b\n", "1:3 ", "texts"),
        ("{a: 1}: b\n", "1:1 ", "texts"),
        ("~: b\n", "1:1 ", "without a name"),
        ("&k a: b\n", "1:4 ", "anchor"),
        ("a: 010\n", "1:4 ", "octal"),
        ("a: .inf\n", "1:4 ", "JSON"),
        ("a: *b\n", "1:4 ", "`*b`"),
        ("a: &a [*a]\n", "1:8 ", "stands in"),
        ("a: 1\n b: 2\n", "2:3 ", "quotes"),
        ("a:\n  b: 1\n c: 2\n", "3:", "indentation"),
        ("a: {b: ${NAME}}\n", "1:", "quotes"),
        ("a: [1, 2\n", "", "close it by ]"),
        ("a: \"x\n", "", "close it by the quote"),
        ("a: \"\\q\"\n", "1:", "backslash"),
        ("a: @x\n", "1:4 ", "quotes"),
        ("a: b: c\n", "1:5 ", "quotes"),
        ("a:\u{a0}1\nb: 1\n", "", "U+00A0"),
        ("", "1:1 ", "empty"),
        ("# nothing\n", "1:1 ", "empty"),
        ("---\n", "1:1 ", "empty"),
        ("<<: 1\n", "1:5 ", "an object"),
    ] {
        let told = refused(text);
        assert!(told[0].starts_with(place), "{text:?} {told:#?}");
        assert!(told.iter().any(|it| it.contains(word)), "{text:?} {told:#?}");
    }
    let source = read("a: no\nb: \"no\"\nc: 2024-01-01\nd: x\u{a0}y\n").unwrap();
    let expected = json!({"a": "no", "b": "no", "c": "2024-01-01", "d": "x\u{a0}y"});
    assert_eq!(source.to_value(), expected);
    let told = tell(source.warnings());
    assert_eq!(told.len(), 2);
    assert!(told[0].starts_with("1:4 `no` is a text here, and false"));
    assert!(told[1].starts_with("4:5 U+00A0 (no-break space)"));
}

/// Any value that JSON has.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "( |\n|#|:|-|x|'|\"|\\\\|\t|é|[0-9]|yes|~|&|\\*|!){0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z: ]{1,6}", inner, 0..5)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(
        text in r#"([\[\]{},:"'$\\|>&*!%@#~?-]|\n|\n  |\n- | |\t|a: |: |<<: |---|\$NAME|\$\{N\}|0|true|no|é|\PC){0,40}"#
    ) {
        let _ = read(&text);
        if let Ok(source) = Source::read_as_it_is("f.yaml", &text) {
            // Whatever has a path has a place.
            for path in ["", "a", "[0]", "a[0]", "a.a"] {
                for offset in 0..4 {
                    let _ = source.place_of(path, offset);
                }
            }
        }
    }

    #[test]
    fn a_value_reads_the_same_from_yaml_and_from_json(value in any_value()) {
        let json = serde_json::to_string_pretty(&value).unwrap();
        let from_json = Source::read_as_it_is("f.json", &json).unwrap().to_value();
        prop_assert_eq!(&from_json, &value);
        // JSON is YAML too.
        let from_yaml = Source::read_as_it_is("f.yaml", &json).unwrap();
        prop_assert_eq!(from_yaml.to_value(), value.clone(), "{}", json);
        let yaml = serde_saphyr::to_string(&value).unwrap();
        let from_yaml = Source::read_as_it_is("f.yaml", &yaml);
        match from_yaml {
            Ok(source) => prop_assert_eq!(source.to_value(), value, "{}", yaml),
            Err(problems) => prop_assert!(false, "{} {}", problems, yaml),
        }
    }
}

#[test]
fn fields_that_stand_twice_without_end_are_told_of_soon() {
    let begun = Instant::now();
    let found = refused(&"a: 1\n".repeat(200_000));
    assert_eq!(found.len(), 101);
    assert!(found[0].starts_with("2:1 ") && found[0].contains("in line 1:"), "{}", found[0]);
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}
