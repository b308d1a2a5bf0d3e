//! The same question about every node of the exchange: how many match, and what keeps the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;

use super::{
    fix::causes,
    node::Node,
    paper::place,
    question::{Answer, Question},
    report::{FORMAT, PlaceReport},
    text::label,
};
use crate::{
    cli::{error::CliError, output::plain_line},
    document::matching::{Clause, Role, Rule},
    exchange::{api::NodeProfile, client::NodePages},
};

/// So many nodes are named for a cause.
const NAMED: usize = 3;
/// More causes than anybody reads: nodes may each ask for something of their own.
const MOST_CAUSES: usize = 1000;
/// Of a longer cause the beginning, in characters: a constraint may be a page.
const LONGEST_CAUSE: usize = 300;

/// What came out of asking every node.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    nodes: usize,
    matching: usize,
    causes: BTreeMap<Cause, Missing>,
}

/// How many nodes match, of those that the caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Reach {
    /// Those that match.
    pub(super) matching: usize,
    /// All of them.
    pub(super) nodes: usize,
}

/// `1,204 of 1,300 nodes match`
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.nodes == 1 { "node matches" } else { "nodes match" };
        write!(f, "{} of {} {noun}", grouped(self.matching), grouped(self.nodes))
    }
}

/// What keeps nodes from a match.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cause {
    rule: Option<Rule>,
    text: String,
    /// Where it is asked.
    place: Option<String>,
}

impl Cause {
    fn new(rule: Option<Rule>, mut text: String, place: Option<String>) -> Self {
        if let Some((end, _)) = text.char_indices().nth(LONGEST_CAUSE) {
            text.truncate(end);
            text.push('…');
        }
        // What is kept is not as long as what was cut.
        text.shrink_to_fit();
        Self { rule, text, place }
    }
}

/// The nodes that it keeps.
#[derive(Debug, Default)]
struct Missing {
    nodes: usize,
    named: Vec<String>,
    place: Option<PlaceReport>,
}

/// What `check --all-nodes --json` prints.
#[derive(Debug, Serialize)]
pub(super) struct FleetReport<'a> {
    format: u32,
    nodes: usize,
    matching: usize,
    /// The biggest first; a node with several causes counts at each.
    misses: Vec<CauseReport<'a>>,
}

#[derive(Debug, Serialize)]
struct CauseReport<'a> {
    nodes: usize,
    rule: Option<Rule>,
    cause: &'a str,
    #[serde(flatten)]
    place: Option<&'a PlaceReport>,
    /// Some of the nodes.
    examples: &'a [String],
}

impl Fleet {
    /// Asks all nodes, a page at a time.
    pub(super) async fn ask(
        question: &mut Question,
        mut pages: NodePages,
    ) -> Result<Self, CliError> {
        let mut fleet = Self::default();
        while let Some(page) = pages.next().await? {
            fleet.take(&page, question).await?;
        }
        Ok(fleet)
    }

    /// How many nodes match.
    pub(super) fn reach(&self) -> Reach {
        Reach { matching: self.matching, nodes: self.nodes }
    }

    async fn take(
        &mut self,
        page: &[NodeProfile],
        question: &mut Question,
    ) -> Result<(), CliError> {
        self.nodes += page.len();
        let mut nodes = Vec::with_capacity(page.len());
        for profile in page {
            match Node::of_profile(profile.id.to_string(), profile) {
                Ok(node) => nodes.push(node),
                Err(error) => {
                    let cause = Cause::new(None, error.to_string(), None);
                    self.count(cause, profile.id.as_str(), || None);
                }
            }
        }
        let fit = question.fit(&nodes).await?;
        self.matching += fit.iter().filter(|it| **it).count();
        for (node, _) in nodes.iter().zip(fit).filter(|(_, fits)| !fits) {
            // Only now it is worth being told why.
            let answers = question.ask(node).await?;
            self.miss(&node.name, &answers, question.offered_by());
        }
        Ok(())
    }

    /// Counts a node that does not match, once at each of its causes.
    fn miss(&mut self, name: &str, answers: &[Answer], offered_by: Option<&str>) {
        let mut told = BTreeSet::new();
        for answer in answers {
            if let Some(why) = &answer.barred {
                let text = format!("a node with a pattern goes by no policy: {why}");
                let cause = Cause::new(None, text, None);
                if told.insert(cause.text.clone()) {
                    self.count(cause, name, || None);
                }
                continue;
            }
            for asked in answer.verdict.clauses.iter().filter(|it| it.fails()) {
                for cause in causes(asked) {
                    // What a node asks itself is written in as many places as there are nodes.
                    let is_common =
                        |role: Role| !matches!(role, Role::NodePolicy | Role::NodeInput);
                    let origin = cause.origin.as_ref().filter(|it| is_common(it.document));
                    let place = place(&answer.papers, origin).map(|it| it.to_string());
                    let text = described(asked, cause, offered_by);
                    let cause = Cause::new(Some(asked.rule), text, place);
                    if told.insert(cause.text.clone()) {
                        let report = || PlaceReport::of(&answer.papers, origin);
                        self.count(cause, name, report);
                    }
                }
            }
        }
    }

    fn count(&mut self, cause: Cause, node: &str, place: impl FnOnce() -> Option<PlaceReport>) {
        let is_known = self.causes.contains_key(&cause);
        let cause = if is_known || self.causes.len() < MOST_CAUSES {
            cause
        } else {
            Cause::new(None, "something else".to_owned(), None)
        };
        let missing = self
            .causes
            .entry(cause)
            .or_insert_with(|| Missing { place: place(), ..Missing::default() });
        missing.nodes += 1;
        if missing.named.len() < NAMED {
            missing.named.push(node.to_owned());
        }
    }

    fn biggest_first(&self) -> Vec<(&Cause, &Missing)> {
        let mut all: Vec<_> = self.causes.iter().collect();
        all.sort_by(|a, b| b.1.nodes.cmp(&a.1.nodes).then_with(|| a.0.cmp(b.0)));
        all
    }

    /// For machines.
    pub(super) fn report(&self) -> FleetReport<'_> {
        let misses = self.biggest_first().into_iter().map(|(cause, missing)| CauseReport {
            nodes: missing.nodes,
            rule: cause.rule,
            cause: &cause.text,
            place: missing.place.as_ref(),
            examples: &missing.named,
        });
        let (nodes, matching) = (self.nodes, self.matching);
        FleetReport { format: FORMAT, nodes, matching, misses: misses.collect() }
    }

    /// For people.
    pub(super) fn told(&self) -> String {
        let head = format!("{}\n", self.reach());
        let rows = self.biggest_first().into_iter().map(|(cause, missing)| {
            let place = cause.place.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
            let more = if missing.nodes > missing.named.len() { ", …" } else { "" };
            let named = missing.named.join(", ");
            let row =
                format!("{:>7}  {}{place}: {named}{more}", grouped(missing.nodes), cause.text);
            plain_line(&row).into_owned() + "\n"
        });
        head + &rows.collect::<String>()
    }
}

/// What keeps a node from a match: the part of a constraint that does not hold, or the whole rule.
fn described(asked: &Clause, cause: &Clause, offered_by: Option<&str>) -> String {
    match asked.rule {
        Rule::NodeSatisfies => format!("constraint {}", cause.text),
        Rule::ServiceSatisfies => format!("constraint of the node {}", cause.text),
        Rule::Arch => match &asked.seen {
            Some(arch) => format!("arch {}, and the node is {arch}", asked.text),
            None => label(asked, offered_by),
        },
        _ => label(asked, offered_by),
    }
}

/// A number with a comma at every thousand.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::check::{paper::Papers, question::Barred},
        document::{Outcome, Verdict},
    };

    #[test]
    fn thousands_are_parted_by_commas() {
        let told = [0, 12, 999, 1000, 12345, 1_234_567].map(grouped);
        assert_eq!(told, ["0", "12", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn the_biggest_cause_stands_first_and_names_a_few_nodes() {
        let mut fleet = Fleet { nodes: 1300, matching: 1204, causes: BTreeMap::new() };
        let cause = |text: &str, place: Option<&str>| {
            Cause::new(Some(Rule::NodeSatisfies), text.to_owned(), place.map(str::to_owned))
        };
        fleet.count(cause("arch amd64, and the node is arm", None), "pos-9", || None);
        for number in 1..=5 {
            let cause = cause("constraint openhorizon.memory >= 512", Some("policy.json:14:20"));
            fleet.count(cause, &format!("pos-{number}"), || None);
        }
        assert_eq!(
            fleet.told(),
            "1,204 of 1,300 nodes match\n      5  constraint openhorizon.memory >= 512 \
             (policy.json:14:20): pos-1, pos-2, pos-3, …\n      1  arch amd64, and the node is arm: pos-9\n"
        );
        assert_eq!(serde_json::to_value(fleet.report()).unwrap()["misses"][0]["nodes"], 5);
    }

    #[test]
    fn a_cause_of_every_node_its_own_fills_no_memory() {
        let mut fleet = Fleet::default();
        for number in 0..5000 {
            let text = format!("constraint of the node a == {number}");
            fleet.count(Cause::new(None, text, None), "n", || None);
        }
        assert_eq!(fleet.causes.len(), MOST_CAUSES + 1);
        assert_eq!(fleet.biggest_first()[0].1.nodes, 4000);
    }

    #[test]
    fn of_a_long_cause_the_beginning_is_kept() {
        let cause = Cause::new(None, "é".repeat(1 << 19), None);
        assert_eq!(cause.text.chars().count(), LONGEST_CAUSE + 1);
        assert!(cause.text.capacity() < 2 * LONGEST_CAUSE + 8, "{}", cause.text.capacity());
        assert_eq!(Cause::new(None, "é".repeat(300), None).text, "é".repeat(300));
    }

    #[test]
    fn a_node_that_is_not_asked_is_counted_once_and_under_nothing_else() {
        let answer = |version: &str| {
            let service = serde_json::json!(
                {"org": "acme", "url": "hello", "version": version, "arch": "amd64"});
            let text = "site == lyon".to_owned();
            let clause = Clause {
                rule: Rule::NodeSatisfies,
                outcome: Outcome::Fails,
                text,
                seen: None,
                origin: None,
                parts: Vec::new(),
            };
            Answer {
                service: serde_json::from_value(service).unwrap(),
                verdict: Verdict { clauses: vec![clause] },
                barred: Some(Barred { pattern: "acme/tills".to_owned() }),
                access: BTreeSet::new(),
                papers: Papers::new(),
            }
        };
        let mut fleet = Fleet { nodes: 1, ..Fleet::default() };
        fleet.miss("pos-1", &[answer("1.0.0"), answer("2.0.0")], None);
        assert_eq!(
            fleet.told(),
            "0 of 1 node matches\n      1  a node with a pattern goes by no policy: it takes the \
             pattern acme/tills: pos-1\n"
        );
    }
}
