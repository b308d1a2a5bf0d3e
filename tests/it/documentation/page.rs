//! A page of the documentation, and the commands in it.

use std::path::PathBuf;

/// A page.
#[derive(Debug)]
pub struct Page {
    name: String,
    text: String,
}

/// A command, and what it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where it is: the page and the line.
    pub place: String,
    /// What is typed, without continuation lines.
    pub command: String,
    /// What is printed, line by line; `…` is anything.
    pub prints: Vec<String>,
}

/// The folder of the project.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Page {
    /// Reads a page of the project.
    pub fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(root().join(name)).expect("the page exists");
        Self { name: name.to_owned(), text }
    }

    /// The commands of its `console` blocks.
    pub fn steps(&self) -> Vec<Step> {
        let (mut steps, mut is_console, mut continues) = (Vec::<Step>::new(), false, false);
        for (index, line) in self.text.lines().enumerate() {
            if let Some(language) = line.strip_prefix("```") {
                is_console = language == "console";
            } else if is_console {
                let last = steps.last_mut();
                match (line.strip_prefix("$ "), last) {
                    (Some(command), _) => {
                        let place = format!("{}:{}", self.name, index + 1);
                        let command = command.to_owned();
                        steps.push(Step { place, command, prints: Vec::new() });
                    }
                    (None, Some(step)) if continues => step.command.push_str(line.trim()),
                    (None, Some(step)) => step.prints.push(line.to_owned()),
                    (None, None) => panic!("{}:{}: printed by no command", self.name, index + 1),
                }
                let step = steps.last_mut().expect("a command was pushed");
                continues = step.command.ends_with('\\');
                if continues {
                    step.command.pop();
                }
            }
        }
        steps
    }

    /// The files that it links to.
    pub fn links(&self) -> Vec<String> {
        let targets = self.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files = targets.filter(|it| !it.contains("://")).map(|it| it.split('#').next());
        files.flatten().map(str::to_owned).collect()
    }
}

#[test]
fn commands_are_read_with_continuations_and_what_they_print() {
    let text =
        "a\n```console\n$ one \\\n  two\nout\n…\n$ three\n```\n```sh\n$ four\n```\n[x](y.md#z)";
    let page = Page { name: "p".to_owned(), text: text.to_owned() };
    let step = |line: usize, command: &str, prints: &[&str]| Step {
        place: format!("p:{line}"),
        command: command.to_owned(),
        prints: prints.iter().map(|it| (*it).to_owned()).collect(),
    };
    assert_eq!(page.steps(), [step(3, "one two", &["out", "…"]), step(7, "three", &[])]);
    assert_eq!(page.links(), ["y.md"]);
}
