//! The files of a new service project.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::image::NewImage;
use crate::{
    document::{SchemaKind, Variables},
    types::{Arch, OrgId, Registry, Version},
};

/// The architectures that a project begins with, as in Horizon's examples.
pub(super) const ARCHES: [&str; 3] = ["amd64", "arm64", "arm"];

/// A file to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewFile {
    /// From the project's folder on.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// What a new project is about.
#[derive(Debug, Clone)]
pub(super) struct NewProject {
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) org: Option<OrgId>,
    pub(super) exchange: Option<String>,
    pub(super) images: Vec<NewImage>,
    pub(super) registry: Registry,
    pub(super) parts: Parts,
}

/// Which files are wanted.
#[derive(Debug, Clone, Copy, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Parts {
    /// Make no patterns
    #[arg(long, visible_alias = "noPattern")]
    pub(super) no_pattern: bool,
    /// Make no policies
    #[arg(long, visible_alias = "noPolicy")]
    pub(super) no_policy: bool,
    /// Make no Dockerfiles: the images are built elsewhere
    #[arg(long, visible_alias = "noImageGen")]
    pub(super) no_image_gen: bool,
    /// Also tell Visual Studio Code how to check and complete the files
    #[arg(long)]
    pub(super) vscode: bool,
}

/// Where an organization must be put in by hand.
pub(super) const UNKNOWN_ORG: &str = "myorg";

impl NewProject {
    /// Every file.
    ///
    /// The files in `horizon/` have no `$schema`: the real `hzn` takes it for a variable, and warns.
    pub(super) fn files(&self) -> Vec<NewFile> {
        let mut files = vec![
            file("horizon/hzn.json", pretty(&self.hzn())),
            file("horizon/service.definition.json", pretty(&self.definition())),
            file("horizon/userinput.json", self.user_input()),
        ];
        if !self.parts.no_pattern {
            files.push(file("horizon/pattern.json", include_str!("templates/pattern.json")));
            let all_arches = include_str!("templates/pattern-all-arches.json");
            files.push(file("horizon/pattern-all-arches.json", all_arches));
        }
        if !self.parts.no_policy {
            let deployment = include_str!("templates/deployment.policy.json");
            files.push(file("horizon/deployment.policy.json", deployment));
            let service = include_str!("templates/service.policy.json");
            files.push(file("horizon/service.policy.json", service));
            files
                .push(file("horizon/node.policy.json", include_str!("templates/node.policy.json")));
        }
        for image in self.built() {
            for arch in ARCHES {
                let path = PathBuf::from(image.folder()).join(format!("Dockerfile.{arch}"));
                files.push(NewFile { path, text: dockerfile(arch) });
            }
        }
        files.push(file("edgepost.toml", self.settings()));
        files.push(file("README.md", self.read_me()));
        if self.parts.vscode {
            files.extend(editor_files());
        }
        files
    }

    /// The variables of its `hzn.json`, as on a machine of `arch`.
    pub(super) fn variables(&self, arch: &Arch) -> Variables {
        let mut variables = Variables::from_iter([
            ("HZN_ORG_ID", self.org_text()),
            ("SERVICE_NAME", &self.name),
            ("SERVICE_VERSION", self.version.as_str()),
            ("ARCH", arch.as_str()),
        ]);
        for (name, value) in self.images.iter().filter_map(NewImage::variable) {
            variables.set(name, value.as_str().unwrap_or_default());
        }
        variables
    }

    fn org_text(&self) -> &str {
        self.org.as_ref().map_or(UNKNOWN_ORG, OrgId::as_str)
    }

    fn built(&self) -> Vec<&NewImage> {
        let is_built = |it: &&NewImage| it.is_built_here() && !self.parts.no_image_gen;
        self.images.iter().filter(is_built).collect()
    }

    fn hzn(&self) -> Value {
        let mut free = Map::new();
        free.insert("SERVICE_NAME".to_owned(), json!(self.name));
        free.insert("SERVICE_VERSION".to_owned(), json!(self.version));
        free.extend(self.images.iter().filter_map(NewImage::variable));
        json!({ "HZN_ORG_ID": self.org_text(), "MetadataVars": free })
    }

    fn definition(&self) -> Value {
        let container = |image: &NewImage| {
            let described = json!({ "image": image.in_definition() });
            (image.container().to_owned(), described)
        };
        let containers: Map<_, _> = self.images.iter().map(container).collect();
        let greeting = json!({
            "name": "GREETING",
            "label": "What it says",
            "type": "string",
            "defaultValue": "Hello",
        });
        let asked = if self.built().is_empty() { json!([]) } else { json!([greeting]) };
        json!({
            "org": "$HZN_ORG_ID",
            "label": "$SERVICE_NAME for $ARCH",
            "description": "",
            "documentation": "",
            "public": false,
            "url": "$SERVICE_NAME",
            "version": "$SERVICE_VERSION",
            "arch": "$ARCH",
            "sharable": "multiple",
            "requiredServices": [],
            "userInput": asked,
            "deployment": { "services": containers },
        })
    }

    fn user_input(&self) -> String {
        let template = include_str!("templates/userinput.json");
        if self.built().is_empty() {
            return template.to_owned();
        }
        let inputs = r#""inputs": [{ "name": "GREETING", "value": "Hello from the edge" }]"#;
        template.replace(r#""inputs": []"#, inputs)
    }

    fn settings(&self) -> String {
        let line = |name: &str, value: Option<&str>, example: &str| match value {
            Some(value) => format!("{name} = {}\n", toml::Value::from(value)),
            None => format!("# {name} = \"{example}\"\n"),
        };
        let exchange = self.exchange.as_deref();
        let org = self.org.as_ref().map(OrgId::as_str);
        "# Where edgepost publishes to from this folder. Credentials do not belong here:\n\
         # they are in the environment, EDGEPOST_USER_AUTH=user:password.\n"
            .to_owned()
            + &line("exchange", exchange, "https://hub.example.com/v1")
            + &line("org", org, UNKNOWN_ORG)
    }

    fn read_me(&self) -> String {
        let arch = Arch::of_this_machine();
        let arch = arch.as_str();
        let build = self.built().into_iter().map(|image| {
            let (folder, name) = (image.folder(), image.on(arch, &self.version));
            let place = if folder.is_empty() { "." } else { folder };
            format!("docker build --tag {name} --file {place}/Dockerfile.{arch} {place}\n")
        });
        let offer = if !self.parts.no_policy {
            format!("edgepost policy publish {} horizon/deployment.policy.json\n", self.name)
        } else if !self.parts.no_pattern {
            "edgepost pattern publish horizon/pattern.json\n".to_owned()
        } else {
            String::new()
        };
        let registry = &self.registry;
        format!(
            "# {}\n\nA service for edge nodes. Build it, publish it, and say where it runs:\n\n```console\n\
             {}edgepost publish -r {registry}:USER:TOKEN\n{offer}```\n\n\
             `USER:TOKEN` is what nodes pull with; without `-r` they pull with no credentials. The variables of the\n\
             files in `horizon/` are in `horizon/hzn.json`; ARCH is this machine's architecture unless the environment\n\
             says another.\n",
            self.name,
            build.collect::<String>(),
        )
    }
}

fn file(path: &str, text: impl Into<String>) -> NewFile {
    NewFile { path: path.into(), text: text.into() }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// An image that can be built for any architecture anywhere, because it runs nothing while it is built.
fn dockerfile(arch: &str) -> String {
    let platform = if arch == "arm" { "linux/arm/v7".to_owned() } else { format!("linux/{arch}") };
    format!(
        "FROM --platform={platform} busybox\n\
         CMD while true; do echo \"$GREETING from $HZN_NODE_ID\"; sleep 5; done\n"
    )
}

/// The schemas, and which files they are for.
fn editor_files() -> Vec<NewFile> {
    let schemas = SchemaKind::ALL.map(|kind| {
        let usual = format!("/horizon/{}", kind.usual_name());
        let more =
            (kind == SchemaKind::Pattern).then(|| "/horizon/pattern-all-arches.json".to_owned());
        let files: Vec<_> = [usual].into_iter().chain(more).collect();
        json!({ "fileMatch": files, "url": format!("./.vscode/{}", kind.file_name()) })
    });
    let settings = file(".vscode/settings.json", pretty(&json!({ "json.schemas": schemas })));
    let texts =
        SchemaKind::ALL.map(|kind| file(&format!(".vscode/{}", kind.file_name()), kind.text()));
    [settings].into_iter().chain(texts).collect()
}
