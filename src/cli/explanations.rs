//! What helps after each error, with an example: `edgepost explain CODE` prints it.

use crate::cli::code::Code;

/// What helps after an error of one code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Explanation {
    /// The code's id.
    id: &'static str,
    /// What to do, imperative.
    pub(super) remedy: &'static str,
    /// A command or setting that does it.
    pub(super) example: &'static str,
}

/// What helps after an error of this code.
pub(super) fn of(code: Code) -> Option<&'static Explanation> {
    EXPLANATIONS.iter().find(|it| it.id == code.id)
}

const fn explain(id: &'static str, remedy: &'static str, example: &'static str) -> Explanation {
    Explanation { id, remedy, example }
}

const EXPLANATIONS: &[Explanation] = &[
    explain(
        "E0100",
        "Read the lines `why` and `try` of the error; -v shows what was done before it.",
        "edgepost -v publish service.json",
    ),
    explain(
        "E0101",
        "Check that the path exists, that this user may read and write it, and that the disk has space.",
        "ls -l service.json; df .",
    ),
    explain(
        "E0102",
        "Start the engine, or give this user the right to use its socket; name another socket by DOCKER_HOST.",
        "systemctl start docker; DOCKER_HOST=unix:///run/podman/podman.sock edgepost agent run",
    ),
    explain(
        "E0103",
        "Read the line of the step that failed; repeat the demonstration with -v.",
        "edgepost -v demo",
    ),
    explain(
        "E0104",
        "Choose an address that is free, or a data folder that belongs to this user.",
        "edgepost hub --listen 127.0.0.1:8443 --data ./hub",
    ),
    explain(
        "E0105",
        "Restore the key file from a backup, or set the pull credentials again.",
        "edgepost service credentials set SERVICE -r registry.example:puller:TOKEN",
    ),
    explain(
        "E0106",
        "Restore the part from a backup; or start once with --create-missing and its name.",
        "edgepost hub --data ./hub --create-missing registry-accounts",
    ),
    explain("E0200", "See the usage of the command.", "edgepost publish --help"),
    explain(
        "E0201",
        "Write host, user and token separated by colons. An IPv6 address is in brackets.",
        "edgepost publish service.json -r registry.example:5000:puller:TOKEN",
    ),
    explain(
        "E0300",
        "Set the exchange, the organization and the credentials, as flags, in the environment or in edgepost.toml.",
        "export EDGEPOST_EXCHANGE_URL=https://hub.example/v1 EDGEPOST_ORG=acme EDGEPOST_USER_AUTH=ann:PASSWORD",
    ),
    explain(
        "E0301",
        "Correct each problem at its line and column.",
        "edgepost publish service.json --dry-run",
    ),
    explain(
        "E0302",
        "Name a key that exists and that only you can read, or create one.",
        "chmod 600 my.key.pem; edgepost key list; edgepost key create",
    ),
    explain(
        "E0303",
        "Build the image, or name the place where it is.",
        "edgepost publish service.json --source oci:build/image",
    ),
    explain(
        "E0304",
        "Register the node, or name the folder in which it was registered.",
        "edgepost agent register --pattern hello --data /var/lib/edgepost --trust-first-seen",
    ),
    explain(
        "E0305",
        "Push those layers too.",
        "edgepost publish service.json --include-foreign-layers",
    ),
    explain(
        "E0306",
        "Give the file that the trust command wrote, as it is.",
        "edgepost trust show trust-acme-2.draft.json",
    ),
    explain(
        "E0307",
        "Export the bundle again, and copy it whole.",
        "edgepost bundle export site.bundle --service SERVICE",
    ),
    explain(
        "E0308",
        "Give the server a certificate, or listen on this machine alone.",
        "edgepost hub --data ./hub --listen 0.0.0.0:8443 --tls-cert hub.pem --tls-key hub.key",
    ),
    explain(
        "E0400",
        "Check the name and the password; an administrator can set a new one.",
        "EDGEPOST_USER_AUTH=ann:PASSWORD edgepost org show acme",
    ),
    explain(
        "E0401",
        "Ask an administrator of the organization for the right, or use the command that the message names.",
        "edgepost user list",
    ),
    explain(
        "E0402",
        "Log in to the registry with an account that may do this; for nodes, set their pull credentials.",
        "edgepost registry login registry.example --username puller --password-stdin",
    ),
    explain(
        "E0403",
        "Use an account or token that may push, or pull, in this repository; wait ten minutes after a new grant.",
        "edgepost registry check registry.example/acme/hello",
    ),
    explain(
        "E0404",
        "Delete what is not needed, or let the registry's operator give more space.",
        "edgepost registry gc registry.example/acme",
    ),
    explain(
        "E0405",
        "Ask the registry's operator to enable deletion, or to delete it there.",
        "REGISTRY_STORAGE_DELETE_ENABLED=true",
    ),
    explain(
        "E0406",
        "Run the command as root of this machine.",
        "sudo edgepost bundle import site.bundle --allow-expired",
    ),
    explain(
        "E0500",
        "Check that the exchange runs and that its URL is right, then repeat the command.",
        "curl https://hub.example/v1/admin/version",
    ),
    explain(
        "E0501",
        "Check that the registry runs, then repeat the command: it goes on where it stopped.",
        "edgepost registry check registry.example",
    ),
    explain(
        "E0502",
        "Trust the authority that signed the certificate: by --ca-file for the exchange, in certs.d for a registry.",
        "edgepost --ca-file ca.pem service list",
    ),
    explain(
        "E0503",
        "Check the URL: a proxy or another server may answer there.",
        "curl -i https://hub.example/v1/admin/version",
    ),
    explain(
        "E0504",
        "Let the operator of the proxy before the registry allow longer requests.",
        "client_max_body_size 0;   (nginx)",
    ),
    explain(
        "E0505",
        "Check the registry's address, and whether its route is there.",
        "curl -i https://registry.example/v2/",
    ),
    explain(
        "E0506",
        "Wait, or log in: accounts may ask more often than anonymous clients.",
        "edgepost registry login registry.example --username puller --password-stdin",
    ),
    explain("E0600", "Check the name, with its organization.", "edgepost service list"),
    explain(
        "E0601",
        "Check the image's name, and log in: many registries hide what is private.",
        "edgepost registry tags registry.example/acme/hello",
    ),
    explain(
        "E0700",
        "Raise the version, or replace what is there on purpose.",
        "edgepost publish service.json --overwrite",
    ),
    explain(
        "E0701",
        "Stop the other process, or choose another folder.",
        "edgepost agent run --data ./node-2",
    ),
    explain(
        "E0702",
        "Publish the file, or take over what is live.",
        "edgepost service diff service.json",
    ),
    explain(
        "E0703",
        "Choose another folder or name, or remove the file.",
        "edgepost new hello --image registry.example/acme/hello",
    ),
    explain(
        "E0704",
        "Let another holder of a root key sign the draft, or publish it.",
        "edgepost trust publish trust-acme-2.draft.json",
    ),
    explain(
        "E0705",
        "Merge only copies of one draft; make the others again from it.",
        "edgepost trust merge ann.draft.json bob.draft.json --output both.draft.json",
    ),
    explain(
        "E0800",
        "Find out which key signed it and whether the trust allows that key; the exchange may be wrong, too.",
        "edgepost trust show",
    ),
    explain(
        "E0801",
        "Pull it again from the registry itself; something on the way changes what it serves.",
        "edgepost image inspect registry.example/acme/hello:1.0.0",
    ),
    explain(
        "E0802",
        "Sign with a root key of this or the previous version.",
        "edgepost trust sign trust-acme-2.draft.json -k ann",
    ),
    explain(
        "E0803",
        "Let more holders of root keys sign, then merge what they signed.",
        "edgepost trust merge ann.draft.json bob.draft.json --output both.draft.json",
    ),
    explain(
        "E0804",
        "Set the clock that is wrong, here or at the exchange.",
        "timedatectl set-ntp true",
    ),
    explain(
        "E0900",
        "See which clause each service fails on, then change the node's policy or the service's.",
        "edgepost agent status",
    ),
    explain(
        "E0901",
        "Change what the lines with FAIL name.",
        "edgepost check --policy policy.json --node pump-7",
    ),
    explain("E1000", "Repeat the command; what was done is kept.", "edgepost publish service.json"),
    explain(
        "E1300",
        "Repeat the command: it goes on where it stopped.",
        "edgepost publish service.json",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Arguments, code::ALL};

    #[test]
    fn every_code_has_a_remedy_and_an_example() {
        let codes: BTreeSet<_> = ALL.iter().map(|it| it.id).collect();
        let explained: BTreeSet<_> = EXPLANATIONS.iter().map(|it| it.id).collect();
        assert_eq!(codes, explained);
        assert_eq!(EXPLANATIONS.len(), ALL.len());
        for it in EXPLANATIONS {
            assert!(it.remedy.ends_with('.') && !it.example.is_empty(), "{}", it.id);
        }
    }

    #[test]
    fn every_command_of_an_example_can_be_understood() {
        for it in EXPLANATIONS {
            for command in it.example.split("; ").filter(|it| it.starts_with("edgepost ")) {
                if let Err(error) = Arguments::try_parse_from(command.split(' ')) {
                    use clap::error::ErrorKind as Kind;
                    assert_eq!(error.kind(), Kind::DisplayHelp, "{}: {command}: {error}", it.id);
                }
            }
        }
    }
}
