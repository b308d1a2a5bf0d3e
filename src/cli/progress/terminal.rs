//! The lines on a terminal that are drawn anew.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::Frame;
use crate::cli::output::plain_line;

/// How often the lines are drawn at most, a second.
const DRAWS: u8 = 10;

/// What is drawn at the moment, so that log lines go above it.
static DRAWN: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Some lines at the bottom of the terminal.
#[derive(Debug)]
pub(super) struct Screen {
    lines: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(DRAWS);
        let lines = MultiProgress::with_draw_target(target);
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(lines.clone());
        Self { lines, bars: Vec::new() }
    }

    /// Draws `frame` in the place of the one before.
    pub(super) fn draw(&mut self, frame: &Frame) {
        for line in &frame.happened {
            // A terminal that is gone is no reason to end a transfer.
            let _ = self.lines.println(plain_line(line));
        }
        while self.bars.len() > frame.live.len() {
            if let Some(bar) = self.bars.pop() {
                self.lines.remove(&bar);
            }
        }
        while self.bars.len() < frame.live.len() {
            self.bars.push(self.lines.add(ProgressBar::no_length().with_style(style())));
        }
        for (bar, line) in self.bars.iter().zip(&frame.live) {
            bar.set_message(plain_line(line).into_owned());
        }
    }

    /// Takes the lines away.
    pub(super) fn clear(self) {
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.lines.clear();
    }
}

/// A text on a line, cut where the terminal ends.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Where log lines go: to stderr, above what is drawn there.
pub(in crate::cli) fn beside_lines() -> BesideLines {
    BesideLines
}

/// Writes to stderr, above the lines that are drawn there.
#[derive(Debug)]
pub(in crate::cli) struct BesideLines;

impl io::Write for BesideLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match drawn {
            Some(lines) => lines.suspend(|| io::stderr().write_all(bytes))?,
            None => io::stderr().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
