//! A hint for a short flag that a command does not have: what `hzn` means by it, or which long flag begins so.

use clap::{Command, CommandFactory as _, error::ContextKind};

use crate::cli::Arguments;

/// What `hzn` means by a short flag, by the last word of our command, and what to give in its place.
const HZN: &[(&str, char, &str)] = &[
    ("publish", 'p', "--service-policy FILE"),
    ("publish", 'K', "nothing: the public key is found beside the private one"),
    ("register", 'f', "--user-input FILE"),
    ("register", 's', "nothing: `edgepost agent status` shows when the service runs"),
    ("check", 's', "--service FILE"),
    ("check", 'p', "--pattern FILE"),
    ("check", 'b', "--policy FILE"),
];

/// The hint for an error about a flag that is not known; `None` for every other error, and where nothing would help.
pub(super) fn hint(error: &clap::Error, arguments: &[String]) -> Option<String> {
    if error.kind() != clap::error::ErrorKind::UnknownArgument {
        return None;
    }
    let flag = error.get(ContextKind::InvalidArg)?.to_string();
    let letter = match flag.strip_prefix('-')?.chars().collect::<Vec<_>>().as_slice() {
        [letter] => *letter,
        _ => return None,
    };
    let (command, words) = command_of(arguments);
    let name = words.last().map_or("", String::as_str);
    let meant = HZN.iter().find(|(of, short, _)| *of == name && *short == letter);
    if let Some((_, _, meant)) = meant.filter(|(_, _, meant)| has_flag(&command, meant)) {
        return Some(format!("in the place of {flag}, give {meant}"));
    }
    let file = command.get_positionals().find(|it| it.get_id() == "file");
    if letter == 'f' && file.is_some() {
        return Some(format!(
            "the file is given without a flag: edgepost {} FILE",
            words.join(" ")
        ));
    }
    let longs: Vec<String> = command
        .get_arguments()
        .filter(|it| !it.is_global_set() && !it.is_hide_set())
        .filter_map(|it| it.get_long())
        .filter(|it| it.starts_with(letter.to_ascii_lowercase()))
        .map(|it| format!("--{it}"))
        .collect();
    match longs.as_slice() {
        [] => Some(format!("edgepost {} --help lists its flags", words.join(" "))),
        longs => Some(format!("{flag} is no flag here; did you mean {}?", longs.join(" or "))),
    }
}

/// Whether a hint names no flag, or one that the command has.
fn has_flag(command: &Command, meant: &str) -> bool {
    let Some(long) = meant.strip_prefix("--") else { return true };
    let long = long.split(' ').next().unwrap_or_default();
    command.get_arguments().any(|it| it.get_long() == Some(long))
}

/// The command that arguments name, and its words.
fn command_of(arguments: &[String]) -> (Command, Vec<String>) {
    let (mut command, mut words) = (Arguments::command(), Vec::new());
    for argument in arguments {
        if let Some(next) = command.find_subcommand(argument).cloned() {
            words.push(next.get_name().to_owned());
            command = next;
        }
    }
    (command, words)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn hint_of(line: &str) -> Option<String> {
        let arguments: Vec<_> = line.split(' ').map(str::to_owned).collect();
        hint(&Arguments::try_parse_from(&arguments).unwrap_err(), &arguments[1..])
    }

    #[test]
    fn short_flags_of_hzn_lead_to_ours() {
        for (line, expected) in [
            ("edgepost publish -f service.json", "edgepost publish FILE"),
            ("edgepost pattern publish -f p.json", "edgepost pattern publish FILE"),
            ("edgepost policy publish name -f p.json", "edgepost policy publish FILE"),
            ("edgepost publish s.json -p policy.json", "--service-policy FILE"),
            ("edgepost agent register -f input.json", "--user-input FILE"),
            ("edgepost check -s service.json", "--service"),
            ("edgepost check -p pattern.json", "--pattern"),
            ("edgepost service list -s", "edgepost service list --help"),
        ] {
            let hint = hint_of(line).unwrap();
            assert!(hint.contains(expected), "{line}: {hint}");
        }
    }

    #[test]
    fn every_flag_that_stands_for_one_of_hzn_exists() {
        for (name, letter, meant) in HZN {
            let line = match *name {
                "register" => "agent register",
                other => other,
            };
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            assert!(has_flag(&command_of(&words).0, meant), "{name} -{letter}: {meant}");
        }
    }

    #[test]
    fn other_errors_have_no_hint() {
        assert_eq!(hint_of("edgepost patern list"), None);
        assert_eq!(hint_of("edgepost publish --filee x"), None);
    }
}
