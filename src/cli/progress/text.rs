//! Progress in words: what stands on a line.

use std::time::Duration;

use super::model::{Blob, Model, News, Outcome, State, Total};

/// How many blobs have a line at a time.
const LINES: usize = 9;
/// How wide the picture of a blob is, in characters.
const BAR: usize = 20;

/// What stands on a screen: lines that stay, and below them some that are drawn anew.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// What has happened; it scrolls away.
    pub(super) happened: Vec<String>,
    /// A line for each blob on its way, and one for all.
    pub(super) live: Vec<String>,
}

/// How far `model` is, drawn `now` after the beginning.
pub(super) fn frame(model: &mut Model, verb: &str) -> Frame {
    let news = model.take_news();
    // Many blobs may be there already, and the last line counts them.
    let told = news.iter().filter(|it| {
        !matches!(it, News::Settled { outcome: Outcome::Existed, .. } | News::Planned { .. })
    });
    let happened = told.filter_map(|it| of_news(it, verb)).collect();
    let mut live: Vec<_> = model.moving().take(LINES).map(|it| of_blob(it, verb)).collect();
    let more = model.moving().count().saturating_sub(LINES);
    let total = model.total();
    if total.blobs > 0 {
        let more = if more > 0 { format!(", {more} more on their way") } else { String::new() };
        live.push(step("total", &(of_total(&total) + &more)));
    }
    Frame { happened, live }
}

/// A blob on its way.
fn of_blob(blob: &Blob, verb: &str) -> String {
    let (bytes, size) = (blob.bytes.min(blob.size), blob.size);
    let pace = match (&blob.state, blob.left()) {
        (State::Again, _) => "waits to be tried again".to_owned(),
        (_, Some(left)) => format!("{}/s  {} left", amount_of(blob.rate()), duration(left)),
        (_, None) => String::new(),
    };
    let far = format!("{} of {}", amount(bytes), amount(size));
    // What a narrow terminal cuts off is the picture.
    step(verb, &format!("{}  {far:<20}  {pace:<24}  {}", blob.digest.short(), picture(bytes, size)))
}

/// `[=====>     ]`
fn picture(bytes: u64, size: u64) -> String {
    let done = u128::from(bytes) * BAR as u128 / u128::from(size.max(1));
    let done = usize::try_from(done).unwrap_or(BAR).min(BAR);
    let tip = if done < BAR { ">" } else { "" };
    format!("[{}{tip}{}]", "=".repeat(done), " ".repeat((BAR - done).saturating_sub(1)))
}

/// How far everything is.
pub(super) fn of_total(total: &Total) -> String {
    let Total { blobs, settled, bytes, size, rate, left, .. } = total;
    let pace = match left {
        Some(left) if bytes < size => {
            format!("  {}/s  {} left", amount_of(*rate), duration(*left))
        }
        _ => String::new(),
    };
    format!("{} of {}, {settled} of {blobs} blobs{pace}", amount(*bytes), amount(*size))
}

/// What a transfer was, after `time`.
pub(super) fn of_end(total: &Total, time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let there = match total.existed {
        0 => String::new(),
        1 => ", 1 blob was there".to_owned(),
        existed => format!(", {existed} blobs were there"),
    };
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mean = if seconds > 0.0 { total.moved as f64 / seconds } else { 0.0 };
    format!("{} in {seconds:.1} s, {}/s{there}", amount(total.moved), amount_of(mean))
}

/// Something that happened, if it is worth a line.
pub(super) fn of_news(news: &News, verb: &str) -> Option<String> {
    match news {
        News::Planned { .. } => None,
        News::Again { blob, why, wait } => {
            let wait = duration(*wait);
            Some(step("again", &format!("{} in {wait}: {why}", blob.short())))
        }
        News::Settled { blob, size, outcome } => {
            let word = of_outcome(outcome);
            Some(step(verb, &format!("{} {word}, {size} bytes", blob.short())))
        }
    }
}

/// What became of a blob.
fn of_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Existed => "is there".to_owned(),
        Outcome::Mounted(from) => format!("mounted from {from}"),
        Outcome::Uploaded => "sent".to_owned(),
        Outcome::Downloaded => "fetched".to_owned(),
        Outcome::Copied => "copied".to_owned(),
    }
}

fn step(word: &str, text: &str) -> String {
    format!("{word:<10}{}", text.trim_end())
}

/// Bytes, for people.
pub(in crate::cli) fn amount(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    amount_of(bytes as f64)
}

fn amount_of(bytes: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, word)) => format!("{:.1} {word}", bytes / unit),
        None => format!("{bytes:.0} B"),
    }
}

/// A time, for people.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => "1 s".to_owned(),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) if hours < 100 => format!("{hours} h {minutes} min"),
        _ => "days".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{image::Descriptor, types::Digest};

    fn blob(number: u64, size: u64) -> Descriptor {
        Descriptor::new("layer", Digest::of(&number.to_be_bytes()), size)
    }

    #[test]
    fn a_screen_has_a_line_for_each_blob_on_its_way_and_one_for_all() {
        let mut model = Model::default();
        let blobs: Vec<_> = (0..30).map(|number| blob(number, 10_000_000)).collect();
        model.planned(&blobs);
        for there in &blobs[..3] {
            model.settled(there, Outcome::Existed);
        }
        model.settled(&blobs[3], Outcome::Uploaded);
        for seconds in 0..10 {
            for moving in &blobs[4..24] {
                model.moved(moving, 500_000 * seconds);
            }
            model.tick(Duration::from_secs(seconds));
        }

        let seen = frame(&mut model, "push");

        assert_eq!(seen.happened.len(), 1, "{seen:?}");
        assert_eq!(seen.live.len(), LINES + 1, "{seen:?}");
        let short = blobs[4].digest.short();
        assert_eq!(
            seen.live[0],
            format!(
                "push      {short}  4.5 MB of 10.0 MB     500.0 kB/s  11 s left     [=========>          ]"
            )
        );
        assert_eq!(
            seen.live[LINES],
            "total     130.0 MB of 300.0 MB, 4 of 30 blobs  10.0 MB/s  17 s left, 11 more on their way"
        );
        assert_eq!(frame(&mut model, "push").happened, [""; 0]);
    }

    #[test]
    fn bytes_and_times_are_told_in_units_that_people_read() {
        let amounts = [0, 999, 1000, 41_234_567, 963_000_000, 12_000_000_000].map(amount);
        assert_eq!(amounts, ["0 B", "999 B", "1.0 kB", "41.2 MB", "963.0 MB", "12.0 GB"]);
        let times = [0, 59, 62, 3723, 864_000].map(Duration::from_secs).map(duration);
        assert_eq!(times, ["1 s", "59 s", "1 min 2 s", "1 h 2 min", "days"]);
    }

    #[test]
    fn a_picture_is_full_at_the_end_and_never_wider() {
        assert_eq!(picture(0, 10), "[>                   ]");
        assert_eq!(picture(10, 10), "[====================]");
        assert_eq!(picture(20, 10).len(), BAR + 2);
        assert_eq!(picture(0, 0).len(), BAR + 2);
    }
}
