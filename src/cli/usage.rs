//! A command line that cannot be understood, told as every other error.

use std::{
    env,
    ffi::OsStr,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, error::ErrorKind};

use crate::cli::{
    Arguments, code,
    error::CliError,
    flag_hints::hint,
    output::{Colour, Form, Notes, Output},
};

/// Says what is wrong with the command line, or gives the help that it asks for: in clap's own words
/// for people, and as the JSON object of every error under `--json`.
pub(super) fn refuse(error: &clap::Error) -> ExitCode {
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if env::args_os().len() <= 1 {
        // With settings in the environment clap does not see that nothing was typed.
        let _ = write!(io::stderr(), "{}", Arguments::command().render_help());
    } else if is_help || !asks_for_json() {
        // A reader that went away is no error.
        let _ = match hint(error, &typed()) {
            Some(hint) => write!(io::stderr(), "{}", with_hint(error, &hint)),
            None => error.print(),
        };
    } else {
        let output = Output { form: Form::JsonLine, notes: Notes::Quiet, colour: Colour::Plain };
        output.error(&told(error, &typed()));
    }
    ExitCode::from(if is_help { 0 } else { code::USAGE.exit as u8 })
}

/// Whether `--json` is among the arguments, which could not be understood as a whole.
fn asks_for_json() -> bool {
    let arguments = env::args_os().skip(1).take_while(|it| it != OsStr::new("--"));
    arguments.into_iter().any(|it| it == OsStr::new("--json"))
}

/// The error in four parts: clap writes it as paragraphs.
fn told(error: &clap::Error, typed: &[String]) -> CliError {
    use ErrorKind as Kind;
    if matches!(
        error.kind(),
        Kind::DisplayHelpOnMissingArgumentOrSubcommand | Kind::MissingSubcommand
    ) {
        return CliError::new(code::USAGE, "a command is missing").help("see --help");
    }
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(one_line);
    let what = paragraphs.next().unwrap_or_default();
    let mut told = CliError::new(code::USAGE, what.trim_start_matches("error: "));
    let hint = hint(error, typed);
    let mut help = hint.clone().unwrap_or_else(|| "see --help".to_owned());
    for paragraph in paragraphs {
        if let Some(tip) = paragraph.strip_prefix("tip: ") {
            if hint.is_none() {
                tip.clone_into(&mut help);
            }
        } else if paragraph.starts_with("Usage: ") {
            told = told.details([paragraph]);
        }
    }
    told.help(help)
}

/// What was typed behind the program's name, as far as it is text.
fn typed() -> Vec<String> {
    env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned()).collect()
}

/// clap's words for people, with a hint in the place of its own tip.
fn with_hint(error: &clap::Error, hint: &str) -> String {
    let text = error.render().to_string();
    let mut paragraphs: Vec<_> =
        text.split("\n\n").filter(|it| !it.trim_start().starts_with("tip: ")).collect();
    let tip = format!("  tip: {hint}");
    paragraphs.insert(1.min(paragraphs.len()), &tip);
    paragraphs.join("\n\n")
}

fn one_line(paragraph: &str) -> String {
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn a_typing_error_keeps_its_suggestion() {
        let told = |arguments: &[&str]| {
            let typed: Vec<_> = arguments[1..].iter().map(|&it| it.to_owned()).collect();
            told(&Arguments::try_parse_from(arguments).unwrap_err(), &typed).to_json()["error"]
                .clone()
        };
        let error = told(&["edgepost", "patern", "list"]);
        assert_eq!((error["code"].as_str(), error["exit"].as_i64()), (Some("E0200"), Some(2)));
        assert!(error["what"].as_str().unwrap().contains("'patern'"), "{error}");
        assert!(error["try"].as_str().unwrap().contains("'pattern'"), "{error}");
        let error = told(&["edgepost", "pattern", "show", "p", "--format", "yml"]);
        assert!(error["try"].as_str().unwrap().contains("'yaml'"), "{error}");
        let error = told(&["edgepost", "pattern", "show"]);
        assert!(error["what"].as_str().unwrap().contains("<NAME>"), "{error}");
        assert!(error["details"][0].as_str().unwrap().starts_with("Usage: "), "{error}");
        assert_eq!(told(&["edgepost", "pattern"])["what"], "a command is missing");
        let error = told(&["edgepost", "publish", "-f", "service.json"]);
        assert_eq!(error["try"], "the file is given without a flag: edgepost publish FILE");
        let error = told(&["edgepost", "pattern", "list", "--json", "--format", "yaml"]);
        assert!(error["what"].as_str().unwrap().contains("--json"), "{error}");
    }
}
