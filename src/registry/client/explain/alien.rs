//! Answers that are no registry's: pages of proxies, routers and web servers.

/// Begins the words of whatever answered in the place of a registry.
const ALIEN: &str = "no registry's answer";

/// The words of an answer that is no registry's: who says to have sent it, and the title of the page.
pub(in crate::registry::client) fn alien_words(server: Option<&str>, page: &str) -> String {
    let title = title_of(page);
    let by = server.map(|server| format!(", by {server}")).unwrap_or_default();
    let says = if title.is_empty() { String::new() } else { format!(": {title}") };
    format!("{ALIEN}{by}{says}")
}

/// Whether these are words of an answer that is no registry's.
pub(in crate::registry::client) fn is_alien(message: &str) -> bool {
    message.starts_with(ALIEN)
}

/// Who sent an answer that is no registry's, if it is none.
pub(super) fn alien(message: &str) -> Option<Alien> {
    let rest = message.strip_prefix(ALIEN)?;
    let server = rest.strip_prefix(", by ").map(|rest| {
        let end = rest.find(": ").unwrap_or(rest.len());
        rest.get(..end).unwrap_or(rest).to_owned()
    });
    Some(Alien { server })
}

/// Who answered in the place of a registry.
pub(super) struct Alien {
    /// What it calls itself.
    pub(super) server: Option<String>,
}

/// The title of a web page, or what its first heading says; a text without either has none.
fn title_of(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let inside = |tag: &str| {
        let begin = lower.find(&format!("<{tag}"))?;
        let begin = begin + lower.get(begin..)?.find('>')? + 1;
        let end = begin + lower.get(begin..)?.find('<')?;
        let words: Vec<&str> = page.get(begin..end)?.split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    };
    inside("title").or_else(|| inside("h1")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_named_by_its_title_or_its_heading() {
        assert_eq!(title_of("<title lang=en>413\n  Too Large</title><h1>x</h1>"), "413 Too Large");
        assert_eq!(
            title_of("<html><h1>Application is not available</h1>"),
            "Application is not available"
        );
        for page in ["", "plain", "<title", "<title>", "<title>x", "<title></title>"] {
            assert_eq!(title_of(page), "", "{page}");
        }
    }
}
