//! `edgepost org`: organizations of the exchange.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::{
    cli::{Context, error::CliError, removal::ForceArgs},
    exchange::api::{
        NodeCredentials, OrgRequest, OrgSettings, OrgSettingsChange, PlainCredentials,
        UnsignedDocuments,
    },
    types::OrgId,
};

/// Organizations
#[derive(Debug, Subcommand)]
pub(super) enum OrgCommand {
    /// Make an organization (as root)
    Create(CreateArgs),
    /// List the organizations you may see
    List,
    /// Show what an organization has chosen
    Show {
        /// Its name
        name: OrgId,
    },
    /// Choose for an organization (as its administrator)
    Set(SetArgs),
    /// Remove an organization and everything in it (as root); there is no way back
    Remove(RemoveArgs),
}

/// What an organization chooses: one setting at least.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Choices {
    /// Whether nodes get the tokens of the services they are to run by Horizon's path, where a proxy could read them
    #[arg(long, value_enum, value_name = "WHETHER")]
    plain_credentials: Option<Plain>,
    /// Whose registrations give nodes the pull credentials of services, beside an administrator's, the service owner's
    /// and a signed node policy
    #[arg(long, value_enum, value_name = "WHOSE")]
    node_credentials: Option<Registrants>,
    /// Whether unsigned patterns, policies and services, as `hzn` publishes them, give nodes pull credentials
    #[arg(long, value_enum, value_name = "WHETHER")]
    unsigned_documents: Option<Unsigned>,
    /// The least number of characters of a new password; 0 is no minimum
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=128))]
    min_password_length: Option<u32>,
    /// The least number of characters of a new node token; 0 is no minimum
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=128))]
    min_token_length: Option<u32>,
}

/// Choose for an organization (as its administrator)
///
/// What is not named stays as it is. Passwords and tokens that exist stay valid.
#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// Its name
    name: OrgId,
    #[command(flatten)]
    choices: Choices,
}

/// Whose registrations count.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Registrants {
    /// Only an administrator's, and a service owner's for that service
    Admins,
    /// Those of every user of the organization
    Members,
}

impl From<Registrants> for NodeCredentials {
    fn from(choice: Registrants) -> Self {
        match choice {
            Registrants::Admins => Self::Admins,
            Registrants::Members => Self::Members,
        }
    }
}

/// Whether unsigned documents count.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Unsigned {
    /// Unsigned documents give no node pull credentials
    Ignored,
    /// They do, where their author may change the service: for agents of Open Horizon
    Counted,
}

impl From<Unsigned> for UnsignedDocuments {
    fn from(choice: Unsigned) -> Self {
        match choice {
            Unsigned::Ignored => Self::Ignored,
            Unsigned::Counted => Self::Counted,
        }
    }
}

/// Whether nodes get tokens as they are.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Plain {
    /// They do: the agent of Open Horizon knows no other way
    Served,
    /// They do not: tokens leave the exchange sealed to an Edgepost node, or not at all
    Refused,
}

impl From<Plain> for PlainCredentials {
    fn from(choice: Plain) -> Self {
        match choice {
            Plain::Served => Self::Served,
            Plain::Refused => Self::Refused,
        }
    }
}

/// Make an organization (as root)
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Its name
    name: OrgId,
    /// What people call it
    #[arg(long)]
    label: Option<String>,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
}

/// Remove an organization and everything in it (as root)
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Its name
    name: OrgId,
    #[command(flatten)]
    force: ForceArgs,
}

impl OrgCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let client = context.client()?;
        match self {
            Self::Create(args) => {
                let label = args.label.clone().unwrap_or_else(|| args.name.to_string());
                let org = OrgRequest::new(label, args.description.clone());
                client.create_org(&args.name, &org).await?;
                context
                    .output
                    .result(&json!({"ok": true, "org": args.name}), || args.name.to_string());
                context.output.next(format!(
                    "edgepost user create NAME --org {} --admin --password-file FILE",
                    args.name
                ));
            }
            Self::List => {
                let orgs = client.orgs().await?;
                let rows = orgs.iter().map(|(name, org)| {
                    vec![name.to_string(), org.value.label.clone(), org.value.description.clone()]
                });
                context.output.list(&orgs, &["ORG", "LABEL", "DESCRIPTION"], rows);
            }
            Self::Show { name } => tell(name, &client.org_settings(name).await?, context),
            Self::Set(args) => {
                let change = OrgSettingsChange {
                    plain_credentials: args.choices.plain_credentials.map(Into::into),
                    node_credentials: args.choices.node_credentials.map(Into::into),
                    unsigned_documents: args.choices.unsigned_documents.map(Into::into),
                    min_password_length: args.choices.min_password_length,
                    min_token_length: args.choices.min_token_length,
                };
                let settings = client.change_org_settings(&args.name, &change).await?;
                tell(&args.name, &settings, context);
            }
            Self::Remove(args) => {
                let removal = client.remove_org(&args.name);
                args.force.remove("org", &args.name, removal, context).await?;
            }
        }
        Ok(())
    }
}

/// Shows the settings of an organization, and what they mean for pull credentials.
fn tell(name: &OrgId, settings: &OrgSettings, context: &Context) {
    let OrgSettings { plain_credentials, node_credentials, unsigned_documents, .. } = settings;
    let result = json!({
        "org": name,
        "plainCredentials": plain_credentials,
        "nodeCredentials": node_credentials,
        "unsignedDocuments": unsigned_documents,
        "minPasswordLength": settings.min_password_length,
        "minTokenLength": settings.min_token_length,
    });
    context.output.result(&result, || {
        let plain = match plain_credentials {
            PlainCredentials::Served => {
                "served: nodes of Open Horizon can pull; a node token alone opens what that node is to run"
            }
            PlainCredentials::Refused => {
                "refused: only nodes of Edgepost can pull; a node token without the node's key opens nothing"
            }
        };
        let least = |length: u32| match length {
            0 => "no minimum".to_owned(),
            length => format!("at least {length} characters"),
        };
        let registrants = match node_credentials {
            NodeCredentials::Admins => {
                "admins: nodes that an administrator registered or approved, or whose policy is signed; \
                 a user's own nodes get the credentials of the user's own services"
            }
            NodeCredentials::Members => "members: nodes that any user of the organization registered",
        };
        let unsigned = match unsigned_documents {
            UnsignedDocuments::Ignored => {
                "ignored: only signed patterns, policies and services give nodes credentials"
            }
            UnsignedDocuments::Counted => {
                "counted: those of `hzn` do so too, where their author may change the service"
            }
        };
        format!(
            "org                 {name}\nplain credentials   {plain}\n\
             node credentials    {registrants}\nunsigned documents  {unsigned}\n\
             passwords           {}\ntokens              {}",
            least(settings.min_password_length),
            least(settings.min_token_length)
        )
    });
}
