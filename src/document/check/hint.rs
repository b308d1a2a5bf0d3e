//! What an author may have meant.

/// What helps with a field that nobody knows.
pub(super) fn for_unknown(name: &str, known: &[&'static str]) -> String {
    match nearest(name, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if NOT_HORIZON.contains(&name) => {
            "Docker has this, Horizon does not: nodes ignore it".to_owned()
        }
        None => "nodes ignore it".to_owned(),
    }
}

/// What people bring along from Docker and Compose.
const NOT_HORIZON: [&str; 12] = [
    "ulimits",
    "healthcheck",
    "gpus",
    "restart",
    "volumes",
    "depends_on",
    "hostname",
    "labels",
    "networks",
    "expose",
    "env_file",
    "deploy",
];

/// The word that is most like `name`, if one is like it at all.
pub(super) fn nearest(name: &str, words: &[&'static str]) -> Option<&'static str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    let name = plain(name);
    let distances = words.iter().map(|word| (distance(&name, &plain(word)), *word));
    let (distance, word) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= name.chars().count().div_ceil(4).min(3)).then_some(word)
}

/// How many characters must be put in, taken out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised() {
        let words = ["environment", "versionRange", "image", "privileged", "ports"];
        for (name, meant) in [
            ("enviroment", Some("environment")),
            ("version_range", Some("versionRange")),
            ("Image", Some("image")),
            ("priviledged", Some("privileged")),
            ("port", Some("ports")),
            ("gpus", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &words), meant, "{name}");
        }
    }
}
