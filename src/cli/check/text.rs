//! Answers in words: a line for each thing that was asked, what was found there, and where it is
//! asked.

use std::fmt::Write as _;

use super::{
    fix::fixes,
    paper::{Papers, place},
    question::Answer,
};
use crate::{
    agent::allow_command,
    cli::output::plain_line,
    document::matching::{Clause, Outcome, Role, Rule},
};

/// A first column that is wider than this does not push the second one away.
const WIDEST: usize = 48;

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// What fails, down to its parts, and the rest in a line each.
    Usual,
    /// Every clause.
    Every,
}

/// One line under a head line.
#[derive(Debug)]
struct Line {
    outcome: Outcome,
    depth: usize,
    what: String,
    seen: String,
    place: Option<String>,
}

/// What was asked about one service, with a head line, and what to do about it.
pub(super) fn told(
    answer: &Answer,
    node: &str,
    offered_by: Option<&str>,
    detail: Detail,
) -> String {
    let mut teller = Teller { papers: &answer.papers, offered_by, detail, lines: Vec::new() };
    if let Some(why) = &answer.barred {
        teller.line(Outcome::Fails, "the node goes by policies".to_owned(), why.to_string(), None);
    }
    teller.clauses(&answer.verdict.clauses);
    let id = &answer.service;
    let head = format!(
        "{}/{} {} would {} on {node}\n",
        id.org,
        id.url,
        id.version,
        if answer.fits() { "run" } else { "NOT run" }
    );
    let fixes = fixes(answer);
    let fix = if fixes.is_empty() {
        String::new()
    } else {
        format!("fix: {}\n", plain_line(&fixes.join("; ")))
    };
    plain_line(head.trim_end()).into_owned() + "\n" + &teller.table() + &host_access(answer) + &fix
}

/// What the node's owner has to allow; nothing if the service stays within the default sandbox.
fn host_access(answer: &Answer) -> String {
    if answer.access.is_empty() {
        return String::new();
    }
    let each = answer.access.iter();
    let each: Vec<_> = each.map(|it| format!("{} ({})", it.access, it.field)).collect();
    let command = allow_command(answer.access.iter().map(|it| &it.access));
    let needs = format!("needs of the host, if its owner allows it: {}", each.join(", "));
    format!("{}\non the node: {}\n", plain_line(&needs), plain_line(&command))
}

/// What a clause asks, for people.
pub(super) fn label(clause: &Clause, offered_by: Option<&str>) -> String {
    let Clause { rule, text, origin, .. } = clause;
    let fails = clause.fails();
    match rule {
        Rule::Offered => {
            let by = offered_by.unwrap_or("the policy");
            format!("{by} {} it", if fails { "does not offer" } else { "offers" })
        }
        Rule::Arch => format!("arch {text}"),
        Rule::Deployment if fails => format!("the service has no `{text}`"),
        Rule::Deployment => format!("the service has a `{text}`"),
        Rule::Namespace => format!("name space {text}"),
        Rule::Required => format!("requires {text}"),
        Rule::NodeSatisfies
            if origin.as_ref().is_some_and(|it| it.document == Role::ServicePolicy) =>
        {
            format!("constraint of the service {text}")
        }
        Rule::NodeSatisfies => format!("constraint {text}"),
        Rule::ServiceSatisfies => format!("constraint of the node {text}"),
        Rule::All | Rule::Any | Rule::Comparison => text.clone(),
        Rule::Privileged => format!("privileged: {text}"),
        Rule::Input => format!("value for {text}"),
        Rule::Secret => format!("secret {text}"),
    }
}

/// What was found for a clause; `whose` property it is, where it is about one.
fn found(clause: &Clause, whose: &str) -> String {
    let seen = clause.seen.as_deref();
    match (clause.rule, seen) {
        (Rule::Arch, Some(arch)) => format!("node is {arch}"),
        (Rule::Namespace, Some(name)) => format!("node is in {name}"),
        (Rule::Required, Some(seen)) if !clause.fails() => format!("version {seen}"),
        (Rule::Required, None) if clause.fails() => "there is none".to_owned(),
        (Rule::Comparison | Rule::Privileged, Some(value)) => format!("{whose} has {value}"),
        (Rule::Comparison, None) if clause.fails() => format!("{whose} has no such property"),
        (Rule::Input, Some(kind)) if clause.fails() => format!("given is {kind}"),
        (Rule::Input, None) if clause.fails() => "nobody gives one".to_owned(),
        (Rule::Secret, Some(name)) => format!("bound to {name}"),
        (Rule::Secret, None) => "bound to nothing".to_owned(),
        (_, Some(seen)) => seen.to_owned(),
        (_, None) => String::new(),
    }
}

struct Teller<'a> {
    papers: &'a Papers,
    offered_by: Option<&'a str>,
    detail: Detail,
    lines: Vec<Line>,
}

impl Teller<'_> {
    fn clauses(&mut self, clauses: &[Clause]) {
        for clause in clauses {
            let is_one_of_many = matches!(clause.rule, Rule::Input | Rule::Secret);
            if self.detail == Detail::Usual && is_one_of_many && !clause.fails() {
                continue;
            }
            self.clause(clause);
        }
        if self.detail == Detail::Usual {
            self.count(clauses, Rule::Input, "variable", "has its value", "have their values");
            self.count(clauses, Rule::Secret, "secret", "is bound", "are bound");
        }
    }

    /// One line for those that hold, of which there may be dozens.
    fn count(&mut self, clauses: &[Clause], rule: Rule, what: &str, one: &str, many: &str) {
        let holds = |it: &&Clause| it.rule == rule && it.outcome == Outcome::Holds;
        let text = match clauses.iter().filter(holds).count() {
            0 => return,
            1 => format!("1 {what} {one}"),
            n => format!("{n} {what}s {many}"),
        };
        self.line(Outcome::Holds, text, String::new(), None);
    }

    /// A clause of a rule, and its parts where they say more.
    fn clause(&mut self, clause: &Clause) {
        let whose = if clause.rule == Rule::ServiceSatisfies { "service" } else { "node" };
        // A constraint is made of one thing: a comparison, or several joined.
        let (shown, parts) = match &clause.parts[..] {
            [only] if only.rule == Rule::Comparison => (only, &[][..]),
            [only] => (clause, &only.parts[..]),
            parts => (clause, parts),
        };
        let what = label(clause, self.offered_by);
        self.lines.push(Line {
            outcome: clause.outcome,
            depth: 0,
            what,
            seen: found(shown, whose),
            place: self.place_of(clause),
        });
        self.parts(parts, whose, 1);
    }

    fn parts(&mut self, parts: &[Clause], whose: &str, depth: usize) {
        let every = self.detail == Detail::Every;
        for part in parts.iter().filter(|it| every || it.fails()) {
            let is_joined = matches!(part.rule, Rule::All | Rule::Any);
            self.lines.push(Line {
                outcome: part.outcome,
                depth,
                what: if is_joined { joint(part.rule).to_owned() } else { part.text.clone() },
                seen: found(part, whose),
                place: self.place_of(part),
            });
            self.parts(&part.parts, whose, depth + 1);
        }
    }

    fn place_of(&self, clause: &Clause) -> Option<String> {
        let is_told = clause.fails() || self.detail == Detail::Every;
        let place = place(self.papers, clause.origin.as_ref()).filter(|_| is_told)?;
        Some(place.to_string())
    }

    fn line(&mut self, outcome: Outcome, what: String, seen: String, place: Option<String>) {
        self.lines.push(Line { outcome, depth: 0, what, seen, place });
    }

    /// The lines in columns.
    fn table(&self) -> String {
        let first = |line: &Line| format!("{}{}", "  ".repeat(line.depth), plain_line(&line.what));
        let widths = self.lines.iter().map(|it| first(it).chars().count());
        let width = widths.filter(|it| *it <= WIDEST).max().unwrap_or_default();
        let mut table = String::new();
        for line in &self.lines {
            let mark = match line.outcome {
                Outcome::Holds => "ok",
                Outcome::Fails => "FAIL",
                Outcome::NotAsked => "n/a",
            };
            let mut row = format!(" {mark:<5} {}", first(line));
            if !line.seen.is_empty() {
                let _ = write!(row, "{:1$}", "", (width + 7).saturating_sub(row.chars().count()));
                let _ = write!(row, "  {}", plain_line(&line.seen));
            }
            if let Some(place) = &line.place {
                let _ = write!(row, "  ({})", plain_line(place));
            }
            table.push_str(&row);
            table.push('\n');
        }
        table
    }
}

fn joint(rule: Rule) -> &'static str {
    if rule == Rule::Any { "one of" } else { "all of" }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        cli::check::question::Barred,
        document::{Verdict, matching::Origin},
    };

    fn clause(rule: Rule, outcome: Outcome, text: &str, seen: Option<&str>) -> Clause {
        let (text, seen) = (text.to_owned(), seen.map(str::to_owned));
        Clause { rule, outcome, text, seen, origin: None, parts: Vec::new() }
    }

    fn answer(clauses: Vec<Clause>) -> Answer {
        let service = serde_json::json!(
            {"org": "acme", "url": "hello", "version": "1.2.3", "arch": "amd64"});
        Answer {
            service: serde_json::from_value(service).unwrap(),
            verdict: Verdict { clauses },
            barred: None,
            access: BTreeSet::new(),
            papers: Papers::new(),
        }
    }

    fn told(answer: &Answer, detail: Detail) -> String {
        super::told(answer, "pos-0430", Some("policy acme/lyon"), detail)
    }

    /// `a == b OR (c == d AND e == f)`, of which all that was asked fails.
    fn joined() -> Clause {
        let comparison = |text, outcome| clause(Rule::Comparison, outcome, text, None);
        let parts =
            vec![comparison("c == d", Outcome::Holds), comparison("e == f", Outcome::Fails)];
        let all = clause(Rule::All, Outcome::Fails, "c == d AND e == f", None);
        let any = clause(Rule::Any, Outcome::Fails, "a == b OR (c == d AND e == f)", None);
        let parts = vec![comparison("a == b", Outcome::Fails), Clause { parts, ..all }];
        let any = Clause { parts, ..any };
        let origin = Origin {
            document: Role::DeploymentPolicy,
            path: "constraints[0]".to_owned(),
            offset: 0,
        };
        let text = any.text.clone();
        let whole = clause(Rule::NodeSatisfies, Outcome::Fails, &text, None);
        Clause { parts: vec![any], origin: Some(origin), ..whole }
    }

    #[test]
    fn only_what_fails_is_told_down_to_its_parts() {
        let mut answer =
            answer(vec![clause(Rule::Arch, Outcome::Holds, "amd64", Some("amd64")), joined()]);
        let live = crate::cli::check::paper::Written::Exchange("policy acme/lyon".to_owned());
        answer.papers.insert(Role::DeploymentPolicy, live);
        assert_eq!(
            told(&answer, Detail::Usual),
            "\
acme/hello 1.2.3 would NOT run on pos-0430
 ok    arch amd64                                node is amd64
 FAIL  constraint a == b OR (c == d AND e == f)  (policy acme/lyon, constraints[0])
 FAIL    a == b                                  node has no such property
 FAIL    all of
 FAIL      e == f                                node has no such property
fix: give the node's policy what satisfies a == b OR (c == d AND e == f)
"
        );
        let every = told(&answer, Detail::Every);
        assert!(every.contains("\n ok        c == d\n"), "{every}");
    }

    #[test]
    fn values_that_are_there_are_counted_and_those_that_are_not_are_named() {
        let input = |name: &str, outcome| clause(Rule::Input, outcome, name, None);
        let mut clauses = vec![input("`A` (int) of acme/hello", Outcome::Holds); 3];
        clauses.push(input("`B` (string) of acme/hello", Outcome::Fails));
        let answer = answer(clauses);
        let usual = told(&answer, Detail::Usual);
        assert!(usual.contains(" ok    3 variables have their values\n"), "{usual}");
        assert!(
            usual.contains(" FAIL  value for `B` (string) of acme/hello  nobody gives one\n"),
            "{usual}"
        );
        assert!(!usual.contains("`A`"), "{usual}");
        assert_eq!(told(&answer, Detail::Every).matches("`A`").count(), 3);
    }

    #[test]
    fn a_node_with_a_pattern_is_not_asked() {
        let mut answer = answer(Vec::new());
        answer.barred = Some(Barred { pattern: "acme/all tills".to_owned() });
        assert_eq!(
            told(&answer, Detail::Usual),
            "\
acme/hello 1.2.3 would NOT run on pos-0430
 FAIL  the node goes by policies  it takes the pattern acme/all tills
fix: ask about what it takes: --pattern 'acme/all tills'
"
        );
    }

    #[test]
    fn what_documents_say_commands_no_terminal() {
        let told = told(
            &answer(vec![clause(Rule::Arch, Outcome::Fails, "a\n ok", Some("\u{1b}[2J"))]),
            Detail::Usual,
        );
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }
}
