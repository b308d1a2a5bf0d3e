//! In what a file differs from what is live.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    live::Live,
    noun::{Noun, absent},
};
use crate::{
    cli::{Context, code, error::CliError},
    document::{
        difference::{changes, unified},
        horizon_row::{authored, said, without_defaults},
    },
    types::ImageRef,
};

/// An image of which the file gives the tag and the live document the digest.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Pinned {
    /// The container that runs it.
    container: String,
    /// What the file says.
    file: String,
    /// What is live.
    live: String,
}

/// Compares what would be published from a file with what is live.
pub(in crate::cli) async fn diff<N: Noun>(
    noun: &N,
    written: &N::Written,
    context: &Context,
) -> Result<(), CliError> {
    let client = context.client()?;
    let live = Live::find(noun, &client).await?.ok_or_else(|| absent(noun))?;
    let (against, seq) = match live {
        Live::Signed(_, seq) => ("document", Some(seq)),
        Live::Row(_) => ("row", None),
    };
    let (old, new) = match live {
        Live::Signed(body, _) => {
            (N::signed(body).ok_or_else(|| absent(noun))?, N::written(written))
        }
        Live::Row(row) => {
            let live = said::<N::Written>(&row);
            let live = live.map_or_else(|_| authored(&row), |it| N::to_horizon(&it));
            without_defaults(live, N::to_horizon(written))
        }
    };
    let (mut old, mut new) = (N::comparable(old), N::comparable(new));
    let pinned = level_images(&mut old, &mut new);
    for image in &pinned {
        context.output.note(format!(
            "note: {} of {} is not compared: the file gives a tag, live is {}",
            image.file, image.container, image.live
        ));
    }
    let changes = changes(&old, &new);
    let name = format!("{} {}", N::WORD, noun.name());
    let live_name = seq.map_or("live".to_owned(), |seq| format!("live, seq {seq}"));
    let is_same = changes.is_empty();
    let result = json!({
        "key": noun.key(), "same": is_same, "against": against, "seq": seq,
        "changes": changes, "pinned": pinned,
    });
    let names = (format!("{name} ({live_name})"), format!("{name} (file)"));
    context.output.difference(&result, || unified((&names.0, &old), (&names.1, &new)));
    if is_same {
        context.output.note(format!("{name} says what is live"));
        return Ok(());
    }
    Err(CliError::new(code::DIFFERENT, format!("{name} differs from what is live"))
        .help("publish it to make it live")
        .told_as_json())
}

/// Whether a tag means a digest is for the registry to say. Where the live image is a digest in the
/// repository that the file gives a tag of, both are made to say `…@sha256:… (pinned)`.
fn level_images(live: &mut Value, file: &mut Value) -> Vec<Pinned> {
    let mut pinned = Vec::new();
    let Some(containers) = file.pointer_mut("/deployment/services").and_then(Value::as_object_mut)
    else {
        return pinned;
    };
    for (container, described) in containers {
        let running = live.pointer_mut("/deployment/services").and_then(|it| it.get_mut(container));
        let images = (described.get_mut("image"), running.and_then(|it| it.get_mut("image")));
        let (Some(file), Some(live)) = images else { continue };
        let parse = |it: &Value| it.as_str()?.parse::<ImageRef>().ok();
        let (Some(written), Some(running)) = (parse(file), parse(live)) else { continue };
        if written.digest.is_some() {
            // Beside a digest, a tag says nothing.
            *file = Value::from(ImageRef { tag: None, ..written }.to_string());
        } else if running.digest.is_some() && written.repository == running.repository {
            let text = format!("{running} (pinned)");
            (*file, *live) = (Value::from(text.clone()), Value::from(text));
            pinned.push(Pinned {
                container: container.clone(),
                file: written.to_string(),
                live: running.to_string(),
            });
        }
    }
    pinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(live: &str, file: &str) -> (Value, Value, Vec<Pinned>) {
        let service = |image: &str| json!({"deployment": {"services": {"a": {"image": image}}}});
        let (mut live, mut file) = (service(live), service(file));
        let pinned = level_images(&mut live, &mut file);
        (live, file, pinned)
    }

    #[test]
    fn a_tag_is_not_compared_with_a_digest_of_its_repository() {
        let digest = format!("a.b/c@sha256:{}", "1".repeat(64));
        let (live, file, pinned) = images(&digest, "a.b/c:1.0.0");
        assert_eq!(live, file);
        assert_eq!(live["deployment"]["services"]["a"]["image"], format!("{digest} (pinned)"));
        assert_eq!((pinned[0].file.as_str(), pinned[0].live.as_str()), ("a.b/c:1.0.0", &*digest));
    }

    #[test]
    fn what_can_be_compared_of_an_image_is() {
        let digest = |digit: &str| format!("@sha256:{}", digit.repeat(64));
        for (live, file, same) in [
            ("a.b/c".to_owned() + &digest("1"), "a.b/d:1".to_owned(), false),
            ("a.b/c".to_owned() + &digest("1"), "a.b/c".to_owned() + &digest("2"), false),
            ("a.b/c".to_owned() + &digest("1"), "a.b/c:1".to_owned() + &digest("1"), true),
            ("a.b/c:1".to_owned(), "a.b/c:2".to_owned(), false),
        ] {
            let (live, file, pinned) = images(&live, &file);
            assert!(pinned.is_empty());
            assert_eq!(live == file, same, "{live} {file}");
        }
    }
}
