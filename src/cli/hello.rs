//! `edgepost hello`: what the demonstration's container runs.

use std::{io::Write as _, time::Duration};

use crate::cli::config::Environment;

/// How often it greets.
const PAUSE: Duration = Duration::from_secs(5);

/// Greets whom the service's user input names, until it is stopped.
pub(super) async fn run(environment: &Environment) {
    let who = environment.get("HELLO_WHO").unwrap_or("World").to_owned();
    let version = environment.get("HELLO_VERSION").unwrap_or("0").to_owned();
    let stop = crate::cli::stop_signal();
    tokio::pin!(stop);
    loop {
        let _ = writeln!(std::io::stdout(), "Hello, {who}! (version {version})");
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(PAUSE) => (),
        }
    }
}
