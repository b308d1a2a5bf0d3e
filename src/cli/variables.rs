//! The files in which people keep settings and variables: ours, and Horizon's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    cli::{code, config::Environment, error::CliError, files::read_text_if_there},
    document::{Variables, project},
    types::{Arch, OrgId},
};

/// What a settings file may say. Unknown words are refused, so that a typing error is found.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SettingsFile {
    /// The exchange's URL.
    pub(crate) exchange: Option<String>,
    /// The organization.
    pub(crate) org: Option<String>,
    /// `user:password`.
    pub(crate) user_auth: Option<String>,
    /// A certificate authority for the exchange.
    pub(crate) ca_file: Option<String>,
    /// The service definition of the project, from the file's folder on.
    pub(crate) definition: Option<PathBuf>,
    /// Variables of documents.
    #[serde(default)]
    variables: BTreeMap<String, Plain>,
    /// Where it is.
    #[serde(skip)]
    pub(crate) path: PathBuf,
}

/// The value of a variable.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a variable is a text, a number, true or false")]
enum Plain {
    Text(String),
    Whole(i64),
    Number(f64),
    Flag(bool),
}

impl From<&Plain> for String {
    fn from(plain: &Plain) -> Self {
        match plain {
            Plain::Text(text) => text.clone(),
            Plain::Whole(number) => number.to_string(),
            Plain::Number(number) => number.to_string(),
            Plain::Flag(flag) => flag.to_string(),
        }
    }
}

/// The origin of what the environment defines.
pub(crate) const ENVIRONMENT: &str = "environment";

/// Variables from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The place, such as a file.
    pub(crate) origin: String,
    /// What it says.
    pub(crate) values: Variables,
}

impl Environment {
    /// The project's settings file: `edgepost.toml` of `folder` or of the nearest folder above.
    pub(crate) fn project_settings(&self, folder: &Path) -> Result<Option<SettingsFile>, CliError> {
        let folder = self.current_folder().join(folder);
        let file = folder.ancestors().map(|it| it.join("edgepost.toml")).find(|it| it.is_file());
        file.map_or(Ok(None), |file| read_settings(&file))
    }

    /// The user's settings file.
    pub(crate) fn user_settings(&self) -> Result<Option<SettingsFile>, CliError> {
        self.home().map_or(Ok(None), |home| read_settings(&home.join("config.toml")))
    }

    /// The settings file of the machine.
    pub(crate) fn system_settings(&self) -> Result<Option<SettingsFile>, CliError> {
        read_settings(&self.system_folder().join("edgepost/config.toml"))
    }

    /// Horizon's files of the user and of the machine, the strongest first.
    pub(crate) fn horizon_layers(&self) -> Result<Vec<Layer>, CliError> {
        let user = self.get("HOME").map(|home| Path::new(home).join(".hzn/hzn.json"));
        let system = self.system_folder();
        let layers = [
            user.map_or(Ok(None), |file| read_project(&file))?,
            read_defaults(&system.join("default/horizon"))?,
            read_project(&system.join("horizon/hzn.json"))?,
        ];
        Ok(layers.into_iter().flatten().collect())
    }

    /// What defines variables for the documents in `folder`, the strongest first: `HZN_ORG_ID` is the organization of the
    /// command, if it has one; then the environment, the project, the user, the machine. Our own credentials and Horizon's are none: a document is made
    /// to be shown. Others that are named like secrets are told of where a document asks for them.
    pub(crate) fn variable_layers(
        &self,
        folder: &Path,
        org: Option<&OrgId>,
    ) -> Result<Vec<Layer>, CliError> {
        let folder = self.current_folder().join(folder);
        let mut layers: Vec<_> = org.map(layer_of_org).into_iter().collect();
        layers.push(self.environment_layer());
        layers.extend(self.project_settings(&folder)?.map(|it| it.layer()));
        layers.extend(read_project(&folder.join("hzn.json"))?);
        // Horizon's projects have it beside the documents; some have it beside their folder.
        if folder.ends_with("horizon")
            && let Some(above) = folder.parent()
        {
            layers.extend(read_project(&above.join("hzn.json"))?);
        }
        let (own, system) = (self.user_settings()?, self.system_settings()?);
        layers.extend(own.into_iter().chain(system).map(|it| it.layer()));
        layers.extend(self.horizon_layers()?);
        let machine = Variables::from_iter([("ARCH", Arch::of_this_machine().to_string())]);
        layers.push(Layer { origin: "this machine".to_owned(), values: machine });
        for layer in &mut layers {
            layer.values = without_secrets(&layer.values);
        }
        Ok(layers)
    }

    /// The variables that the documents in `folder` may use.
    pub(crate) fn variables(
        &self,
        folder: &Path,
        org: Option<&OrgId>,
    ) -> Result<Variables, CliError> {
        let layers = self.variable_layers(folder, org)?;
        Ok(layers.iter().fold(Variables::new(), |all, layer| all.or(&layer.values)))
    }
}

impl SettingsFile {
    fn layer(&self) -> Layer {
        let values = self.variables.iter().map(|(name, value)| (name, String::from(value)));
        Layer { origin: self.path.display().to_string(), values: values.collect() }
    }
}

/// What the organization of a command defines for the documents that it reads.
fn layer_of_org(org: &OrgId) -> Layer {
    let values = Variables::from_iter([("HZN_ORG_ID", org.as_str())]);
    Layer { origin: "organization of the command".to_owned(), values }
}

fn without_secrets(values: &Variables) -> Variables {
    values.iter().filter(|(name, _)| !holds_secret(name)).collect()
}

/// Whether a variable holds credentials: ours, and Horizon's.
pub(crate) fn holds_secret(name: &str) -> bool {
    matches!(
        name,
        "EDGEPOST_USER_AUTH"
            | "EDGEPOST_NODE_AUTH"
            | "HZN_EXCHANGE_USER_AUTH"
            | "HZN_EXCHANGE_NODE_AUTH"
            | "HZN_EXCHANGE_USER_ADMIN_PW"
    )
}

/// Reads a settings file, if it is there.
fn read_settings(path: &Path) -> Result<Option<SettingsFile>, CliError> {
    let Some(text) = read_text_if_there(path)? else { return Ok(None) };
    let mut file: SettingsFile = toml::from_str(&text).map_err(|error| {
        let line = error.span().map(|it| text[..it.start].matches('\n').count() + 1);
        // The error's own text repeats the line, which may be the one with the password.
        CliError::new(code::SETTINGS, format!("`{}` is not a settings file", path.display()))
            .at_known(line.map(|line| format!("{}:{line}", path.display())))
            .why(error.message())
            .help("it may have: exchange, org, user-auth, ca-file, definition, [variables]")
    })?;
    path.clone_into(&mut file.path);
    Ok(Some(file))
}

/// Reads a `hzn.json`, if it is there.
fn read_project(path: &Path) -> Result<Option<Layer>, CliError> {
    let Some(text) = read_text_if_there(path)? else { return Ok(None) };
    let origin = path.display().to_string();
    let values = project::variables(&origin, &text).map_err(|problems| {
        // No line of it is shown: it may be the one with the password.
        CliError::new(code::SETTINGS, format!("`{origin}` is not a project file of Horizon"))
            .details(problems.all.iter().map(|problem| format!("{origin}:{problem}")))
    })?;
    Ok(Some(Layer { origin, values }))
}

/// Reads `NAME=value` lines, as `/etc/default/horizon` has them, if they are there. A value keeps
/// whatever `=` it has.
fn read_defaults(path: &Path) -> Result<Option<Layer>, CliError> {
    let Some(text) = read_text_if_there(path)? else { return Ok(None) };
    let mut values = Variables::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if let Some((name, value)) = line.split_once('=')
            && !line.starts_with('#')
        {
            let quoted = ['"', '\'']
                .iter()
                .find_map(|quote| value.trim().strip_prefix(*quote)?.strip_suffix(*quote));
            values.set(name.trim(), quoted.unwrap_or(value.trim()));
        }
    }
    Ok(Some(Layer { origin: path.display().to_string(), values }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Writes files below a folder.
    #[expect(clippy::disallowed_methods, reason = "a test makes its files")]
    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn the_nearest_definition_of_a_variable_counts() {
        let folder = tempfile::tempdir().unwrap();
        // Each file defines a variable less than the next one.
        let project = |place: &str, without: usize| {
            let names = ["A", "B", "C", "D", "E", "F", "G"].into_iter().skip(without);
            let values: BTreeMap<_, _> = names.map(|name| (name, place)).collect();
            serde_json::json!({"MetadataVars": values}).to_string()
        };
        write(
            folder.path(),
            &[
                ("edgepost.toml", "[variables]\nB = \"toml\"\nN = 1.5\nT = true\nI = 7\n"),
                ("p/horizon/hzn.json", &project("beside", 2)),
                ("p/hzn.json", &project("above", 3)),
                ("home/.config/edgepost/config.toml", "[variables]\nE = \"user\""),
                ("home/.hzn/hzn.json", &project("hzn", 4)),
                (
                    "etc/default/horizon",
                    "# c\nF=a=b=c\nexport Q=\"x y\"\nHZN_EXCHANGE_USER_AUTH=u:p\n#Z=1\n nonsense\n",
                ),
                ("etc/horizon/hzn.json", &project("etc", 0)),
            ],
        );
        let environment = Environment::made_up(
            folder.path(),
            &[("A", "environment"), ("EDGEPOST_USER_AUTH", "u:p")],
        );
        let variables = environment.variables(Path::new("p/horizon"), None).unwrap();
        let value = |name| variables.get(name).unwrap_or("nothing").to_owned();
        let values = ["A", "B", "C", "D", "E", "F", "G", "N", "T", "I", "Q", "Z"].map(value);
        let expected = [
            "environment",
            "toml",
            "beside",
            "beside",
            "beside",
            "beside",
            "beside",
            "1.5",
            "true",
            "7",
            "x y",
            "nothing",
        ];
        assert_eq!(values, expected);
        let here = environment.variables(Path::new("p"), None).unwrap();
        assert_eq!(["C", "D", "F"].map(|name| here.get(name).unwrap()), ["etc", "above", "above"]);
        let above = environment.variables(Path::new(""), None).unwrap();
        assert_eq!(["E", "F", "G"].map(|name| above.get(name).unwrap()), ["user", "hzn", "hzn"]);
        for secret in ["EDGEPOST_USER_AUTH", "HZN_EXCHANGE_USER_AUTH"] {
            assert_eq!(variables.get(secret), None);
        }
        assert!(variables.get("ARCH").is_some());
    }

    #[test]
    fn horizons_organization_is_that_of_the_command() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("hzn.json", r#"{"HZN_ORG_ID":"project"}"#)]);
        let environment = Environment::made_up(folder.path(), &[("HZN_ORG_ID", "environment")]);
        let org = "acme".parse().unwrap();
        for (org, expected) in [(Some(&org), "acme"), (None, "environment")] {
            let variables = environment.variables(Path::new(""), org).unwrap();
            assert_eq!(variables.get("HZN_ORG_ID"), Some(expected));
        }
    }

    #[test]
    fn a_value_keeps_its_equal_signs() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("etc/default/horizon", "URL=http://e/?a=b&c==\n")]);
        let environment = Environment::made_up(folder.path(), &[]);
        let variables = environment.variables(Path::new(""), None).unwrap();
        assert_eq!(variables.get("URL"), Some("http://e/?a=b&c=="));
    }

    #[test]
    fn a_settings_file_that_cannot_be_read_says_where() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[("edgepost.toml", "org = \"o\"\n[variables]\nA = []\n")]);
        let environment = Environment::made_up(folder.path(), &[]);
        let error = environment.variables(Path::new(""), None).unwrap_err().to_string();
        assert!(error.contains("edgepost.toml:3"), "{error}");
    }
}
