//! How a transfer goes on: lines that are drawn anew on a terminal, one line a step elsewhere, or
//! JSON objects.
//!
//! A transfer only notes in the model how far it is. A thread of its own looks at the model ten times a
//! second, and is the only one that waits for whoever reads.

mod event;
mod model;
mod terminal;
mod text;

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};

pub(super) use terminal::beside_lines;
pub(super) use text::amount;

use event::Events;
use model::{Model, Outcome};
use terminal::Screen;

use crate::{
    cli::output::{self, Notes, Output},
    image::{CopyWatch, Descriptor},
    registry::client::{BlobOutcome, Progress, RegistryError},
};

/// How often the model is looked at.
const TICK: Duration = Duration::from_millis(100);
/// After so long a silence a line says how far everything is, lest whoever waits thinks that it hangs.
const SILENCE: Duration = Duration::from_secs(30);

/// How progress is told.
#[derive(Debug, Args)]
pub(super) struct ProgressArgs {
    /// How progress is told, on stderr
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        env = "EDGEPOST_PROGRESS",
        default_value = "auto"
    )]
    progress: Form,
}

/// A form of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// On a terminal a line for each blob; with --json, JSON; otherwise one line a step
    Auto,
    /// One line a step
    Lines,
    /// One JSON object a line
    Json,
    /// Nothing
    None,
}

/// Tells how a transfer goes on, until it is dropped.
#[derive(Debug)]
pub(super) struct Teller {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<SharedState>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct SharedState {
    model: Model,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread tells by.
enum Told {
    Screen(Screen),
    Lines { last: Duration },
    Json(Events),
}

impl ProgressArgs {
    /// Begins to tell. `verb` is the word for what is done to blobs: `push`, `copy`.
    pub(super) fn teller(&self, verb: &'static str, output: Output) -> Teller {
        let told = match self.progress {
            _ if output.notes == Notes::Quiet => None,
            Form::None => None,
            Form::Json => Some(Told::Json(Events::default())),
            Form::Auto if output.is_json() => Some(Told::Json(Events::default())),
            Form::Auto if output::stderr_is_terminal() => Some(Told::Screen(Screen::new())),
            Form::Auto | Form::Lines => Some(Told::Lines { last: Duration::ZERO }),
        };
        let shared = Arc::new(Shared::default());
        // Without a thread nothing is told, and the transfer goes on all the same.
        let thread = told.and_then(|told| {
            let thread = Telling { shared: Arc::clone(&shared), told, verb, output };
            thread::Builder::new().name("progress".to_owned()).spawn(|| thread.run()).ok()
        });
        Teller { shared, thread }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.ended.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Progress for Teller {
    fn planned(&self, blobs: &[Descriptor]) {
        self.shared.lock().model.planned(blobs);
    }

    fn moved(&self, blob: &Descriptor, bytes: u64) {
        self.shared.lock().model.moved(blob, bytes);
    }

    fn again(&self, blob: &Descriptor, why: &RegistryError, wait: Duration) {
        self.shared.lock().model.again(blob, why.to_string(), wait);
    }

    fn settled(&self, blob: &Descriptor, outcome: BlobOutcome) {
        self.shared.lock().model.settled(blob, outcome.into());
    }
}

impl CopyWatch for Teller {
    fn planned(&self, blobs: &[Descriptor]) {
        self.shared.lock().model.planned(blobs);
    }

    fn moved(&self, blob: &Descriptor, bytes: u64) {
        self.shared.lock().model.moved(blob, bytes);
    }

    fn settled(&self, blob: &Descriptor, existed: bool) {
        let outcome = if existed { Outcome::Existed } else { Outcome::Copied };
        self.shared.lock().model.settled(blob, outcome);
    }
}

/// The thread's own.
struct Telling {
    shared: Arc<Shared>,
    told: Told,
    verb: &'static str,
    output: Output,
}

impl Telling {
    fn run(mut self) {
        let start = Instant::now();
        let shared = Arc::clone(&self.shared);
        loop {
            let guard = shared.lock();
            let (mut state, _) = shared
                .ended
                .wait_timeout_while(guard, TICK, |it| !it.ended)
                .unwrap_or_else(PoisonError::into_inner);
            let (now, ended) = (start.elapsed(), state.ended);
            state.model.tick(now);
            self.tell(state, now);
            if ended {
                self.end(now);
                return;
            }
        }
    }

    /// Tells how far it is. The model is let go before anything is written.
    fn tell(&mut self, mut state: MutexGuard<'_, SharedState>, now: Duration) {
        match &mut self.told {
            Told::Screen(screen) => {
                let frame = text::frame(&mut state.model, self.verb);
                drop(state);
                screen.draw(&frame);
            }
            Told::Lines { last } => {
                let mut lines: Vec<_> = state
                    .model
                    .take_news()
                    .iter()
                    .filter_map(|it| text::of_news(it, self.verb))
                    .collect();
                if lines.is_empty()
                    && now.saturating_sub(*last) >= SILENCE
                    && state.model.moving().count() > 0
                {
                    lines.push(format!("{:<10}{}", "total", text::of_total(&state.model.total())));
                }
                drop(state);
                if !lines.is_empty() {
                    *last = now;
                }
                for line in &lines {
                    self.output.note(line);
                }
            }
            Told::Json(events) => {
                let events = events.of(&mut state.model, now);
                drop(state);
                for event in &events {
                    self.output.event(event);
                }
            }
        }
    }

    /// Says what the transfer was.
    fn end(self, now: Duration) {
        let total = self.shared.lock().model.total();
        match self.told {
            Told::Json(_) => self.output.event(&Events::end(&total, now)),
            Told::Screen(_) | Told::Lines { .. } => {
                if let Told::Screen(screen) = self.told {
                    screen.clear();
                }
                if total.moved > 0 {
                    self.output.step("total", text::of_end(&total, now));
                }
            }
        }
    }
}
