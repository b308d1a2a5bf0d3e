//! Tells the story: one line a step, with its time.

use std::{error::Error, future::Future, time::Instant};

use serde::Serialize;

use crate::cli::{code, error::CliError, output::Output};

/// A step that was taken.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Step {
    name: &'static str,
    ok: bool,
    ms: u64,
    detail: String,
}

/// The whole story.
#[derive(Debug, Serialize)]
pub(super) struct Story<'a> {
    ok: bool,
    steps: &'a [Step],
}

/// Keeps what happened and tells it as it happens.
#[derive(Debug)]
pub(super) struct Narrator {
    output: Output,
    steps: Vec<Step>,
}

impl Narrator {
    /// A narrator with nothing to tell yet.
    pub(super) fn new(output: Output) -> Self {
        Self { output, steps: Vec::new() }
    }

    /// Takes a step: what it gives back says what happened, an error says why it did not hold.
    pub(super) async fn step<T>(
        &mut self,
        name: &'static str,
        action: impl Future<Output = Result<(T, String), Box<dyn Error + Send + Sync>>>,
    ) -> Option<T> {
        let start = Instant::now();
        let outcome = action.await;
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (ok, detail, value) = match outcome {
            Ok((value, detail)) => (true, detail, Some(value)),
            Err(error) => (false, with_causes(&*error), None),
        };
        let mark = if ok { "ok  " } else { "FAIL" };
        self.output.line(&format!("{mark} {ms:>6} ms  {name:<14} {detail}"));
        self.steps.push(Step { name, ok, ms, detail });
        value
    }

    /// Ends the story: prints it as one object where that is wanted, and is an error unless all of it held.
    pub(super) fn end(self) -> Result<(), CliError> {
        let failed: Vec<_> = self.steps.iter().filter(|it| !it.ok).map(|it| it.name).collect();
        let ok = failed.is_empty();
        if self.output.is_json() {
            self.output.result(&Story { ok, steps: &self.steps }, String::new);
        } else if ok {
            self.output.line("every step held; nothing is left behind");
        }
        if ok {
            return Ok(());
        }
        let what = format!("{} did not hold", failed.join(", "));
        Err(CliError::new(code::STEP, what).told_as_json())
    }
}

/// An error and its causes, on one line.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |it| (*it).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
