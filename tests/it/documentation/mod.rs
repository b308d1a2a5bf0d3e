//! The commands of README and docs, typed in their order as a newcomer types them, against real parts.
//!
//! A `console` block is typed: lines that begin with `$ ` are commands, the others what they print, where a line `…` is
//! anything. A `sh`, `text` or `json` block is only read.

mod page;
mod shell;
mod site;

use self::{page::Page, site::Site};
use crate::support::peers;

/// The pages, in the order in which README names them.
const PAGES: [&str; 10] = [
    "README.md",
    "docs/services.md",
    "docs/images.md",
    "docs/registries.md",
    "docs/credentials.md",
    "docs/check.md",
    "docs/nodes.md",
    "docs/trust.md",
    "docs/operations.md",
    "docs/settings.md",
];

#[test]
fn every_command_of_the_documentation_does_what_it_says() {
    let Some(engine) = peers::docker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(mut site) = Site::start(folder.path(), &engine) else { return };
    let mut typed = 0;
    for name in PAGES {
        for step in Page::read(name).steps() {
            site.type_step(&step);
            typed += 1;
        }
        site.stop_agents();
    }
    assert!(typed > 60, "only {typed} commands were typed");
}

#[test]
fn every_page_is_typed_and_every_link_leads_to_a_file() {
    let root = page::root();
    let listed: Vec<_> = std::fs::read_dir(root.join("docs")).unwrap().collect();
    for entry in listed {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let is_page = path.extension().is_some_and(|it| it == "md");
        assert!(!is_page || PAGES.contains(&&*name), "{name} is not typed");
    }
    for name in PAGES {
        let page = Page::read(name);
        for link in page.links() {
            let folder = root.join(name).parent().unwrap().to_owned();
            assert!(folder.join(&link).exists(), "{name} links to {link}, which does not exist");
        }
    }
}
