//! `edgepost config`: every setting and variable, and where it comes from.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::{
    Context,
    config::Setting,
    error::CliError,
    variables::{ENVIRONMENT, Layer, holds_secret},
};

/// Settings and variables, and where they come from
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show every setting, and every variable that documents may use
    Show(ShowArgs),
}

/// Show every setting, and every variable that documents may use
///
/// The strongest comes first: the command line, EDGEPOST_… and HZN_… of the environment, edgepost.toml of the
/// project, hzn.json of the project (for variables alone), the files of the user, those of the machine.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Say where each comes from, and what it hides
    #[arg(long)]
    origin: bool,
    /// The folder whose documents are meant; without it: the current one, or its horizon/
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// A setting or a variable.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    value: String,
    /// Where it comes from.
    origin: String,
    /// Where others stand that it hides.
    hides: Vec<String>,
}

/// All of them.
#[derive(Debug, Serialize)]
struct Shown {
    settings: Vec<Line>,
    variables: Vec<Line>,
}

impl ConfigCommand {
    /// Runs the command.
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Show(args) => args.run(context),
        }
    }
}

impl ShowArgs {
    fn run(&self, context: &Context) -> Result<(), CliError> {
        let shown = Shown { settings: settings(context)?, variables: self.variables(context)? };
        let mut headings = vec!["NAME", "VALUE"];
        if self.origin {
            headings.extend(["FROM", "HIDES"]);
        }
        let rows = shown.settings.iter().chain(&shown.variables).map(|line| {
            let Line { name, value, origin, hides } = line;
            let mut row = vec![name.clone(), value.clone()];
            if self.origin {
                row.extend([origin.clone(), hides.join(", ")]);
            }
            row
        });
        context.output.list(&shown, &headings, rows);
        context.output.note("note: documents may use every other variable of the environment too");
        Ok(())
    }

    fn variables(&self, context: &Context) -> Result<Vec<Line>, CliError> {
        let environment = &context.environment;
        let usual = Path::new("horizon");
        let folder = match &self.folder {
            Some(folder) => folder,
            None if environment.current_folder().join(usual).is_dir() => usual,
            None => Path::new(""),
        };
        let org = context.connection.known(environment)?.org;
        Ok(lines(&environment.variable_layers(folder, org.as_ref())?))
    }
}

fn settings(context: &Context) -> Result<Vec<Line>, CliError> {
    let found = context.connection.found(&context.environment)?;
    let lines = Setting::ALL.into_iter().zip(found).filter_map(|(setting, found)| {
        let found = found?;
        let value = match setting {
            Setting::UserAuth => masked(&found.value),
            _ => found.value,
        };
        let name = setting.names()[0].to_owned();
        Some(Line { name, value, origin: found.origin, hides: Vec::new() })
    });
    Ok(lines.collect())
}

/// The variables of all layers, by name. Of the environment, which has many, those that begin as
/// Horizon's do, and those that stand elsewhere too.
fn lines(layers: &[Layer]) -> Vec<Line> {
    let others = layers.iter().filter(|layer| layer.origin != ENVIRONMENT);
    let elsewhere: BTreeSet<_> =
        others.flat_map(|layer| layer.values.iter().map(|(name, _)| name)).collect();
    let mut lines = BTreeMap::<&str, Line>::new();
    for layer in layers {
        for (name, value) in layer.values.iter() {
            if !elsewhere.contains(name) && !name.starts_with("HZN_") {
                continue;
            }
            lines
                .entry(name)
                .and_modify(|line| line.hides.push(layer.origin.clone()))
                .or_insert_with(|| Line {
                    name: format!("${name}"),
                    value: if looks_secret(name) { "***".to_owned() } else { value.to_owned() },
                    origin: layer.origin.clone(),
                    hides: Vec::new(),
                });
        }
    }
    lines.into_values().collect()
}

/// The name before the password.
fn masked(auth: &str) -> String {
    auth.split_once(':').map_or_else(|| "***".to_owned(), |(name, _)| format!("{name}:***"))
}

/// Whether a value is better not shown, by its name.
fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words =
        ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "AUTH", "APIKEY", "API_KEY", "CREDENTIAL"];
    holds_secret(&name) || name.ends_with("_PW") || words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(origin: &str, values: &[(&str, &str)]) -> Layer {
        Layer { origin: origin.to_owned(), values: values.iter().copied().collect() }
    }

    #[test]
    fn every_variable_says_where_it_comes_from_and_no_secret() {
        let layers = [
            layer("environment", &[("PATH", "/bin"), ("A", "1"), ("HZN_ORG_ID", "acme")]),
            layer("hzn.json", &[("A", "2"), ("MY_API_KEY", "x"), ("B", "3")]),
            layer("/etc", &[("A", "4"), ("B", "5")]),
        ];
        let lines = lines(&layers);
        let told: Vec<_> = lines
            .iter()
            .map(|it| format!("{} {} {} {}", it.name, it.value, it.origin, it.hides.join(",")))
            .collect();
        assert_eq!(
            told,
            [
                "$A 1 environment hzn.json,/etc",
                "$B 3 hzn.json /etc",
                "$HZN_ORG_ID acme environment ",
                "$MY_API_KEY *** hzn.json "
            ]
        );
        assert_eq!(masked("acme/ann:pw:x"), "acme/ann:***");
        assert_eq!(masked("pw"), "***");
    }
}
