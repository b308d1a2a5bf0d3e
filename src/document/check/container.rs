//! Checks the containers of a service.

use super::{Fields, Inspector, Need, Place};
use crate::{
    document::{
        deployment::{Bind, ContainerPort, Device, PortMapping, image_text::ImageText},
        source::Content,
    },
    types::ImageRef,
};

/// The agent's own port on every node.
const AGENT_PORT: u16 = 8510;

/// What anax runs, and `hzn` does not know; both keep it.
const UNKNOWN_TO_HZN: [&str; 3] = ["security_opt", "variation_label", "network_isolation"];

/// What anax does, and no node of ours.
const FOR_ANAX_ALONE: [&str; 2] = ["variation_label", "network_isolation"];

impl<'a> Inspector<'a> {
    pub(super) fn deployment(&mut self, place: &Place<'a>) {
        self.object(place, |it, fields| {
            let containers = it.entries(fields, "services");
            let mut host_ports = Vec::new();
            if containers.is_empty() {
                let what = "the deployment has no containers";
                let help = "add \"services\": {\"web\": {\"image\": \"registry/web:1.0.0\"}}";
                it.error(place, what, help);
            }
            for (name, place) in containers {
                let is_host_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
                if name.is_empty() || !name.chars().all(is_host_name) {
                    let what = format!("`{name}` cannot name a container");
                    it.error(&place, what, "use letters, digits and _ . -");
                }
                it.object(&place, |it, fields| it.container(fields, &mut host_ports));
            }
        });
    }

    fn container(&mut self, fields: &mut Fields<'a>, host_ports: &mut Vec<String>) {
        self.known_elsewhere(fields);
        self.image(fields);
        for name in ["command", "entrypoint", "cap_add", "security_opt"] {
            self.texts(fields, name);
        }
        self.environment(fields);
        self.flag(fields, "privileged");
        for name in ["pid", "ipc", "user", "log_driver", "variation_label"] {
            self.text(fields, name, Need::Optional);
        }
        for (place, text) in self.texts(fields, "devices") {
            self.parse::<Device>(&place, text);
        }
        for (place, text) in self.texts(fields, "binds") {
            self.parse::<Bind>(&place, text);
        }
        self.ports(fields, host_ports);
        self.whole(fields, "max_memory_mb");
        if let Some(place) = self.number(fields, "max_cpus")
            && matches!(&place.node.content, Content::Number(it) if it.as_f64() < Some(0.0))
        {
            self.error(&place, "there are no negative processors", "0 is no limit");
        }
        self.map_of_texts(fields, "tmpfs");
        self.map_of_texts(fields, "sysctls");
        for (_, place) in self.entries(fields, "secrets") {
            self.secret(&place);
        }
        if let Some(place) = fields.get("network_isolation") {
            self.object(&place, |it, fields| {
                it.items(fields, "outbound_permit_only");
                fields.get("outbound_permit_only_ignore");
            });
        }
    }

    /// Fields that not every program knows.
    fn known_elsewhere(&mut self, fields: &mut Fields<'a>) {
        for name in UNKNOWN_TO_HZN {
            if let Some(place) = fields.get(name) {
                let what = format!("`hzn` does not know `{name}` and warns of it; anax takes it");
                let ours =
                    if FOR_ANAX_ALONE.contains(&name) { "nodes of Edgepost ignore it" } else { "" };
                self.warn(&place, what, ours);
            }
        }
    }

    /// What is said of a secret: `description`, `format`, and whatever its author adds.
    pub(super) fn secret(&mut self, place: &Place<'a>) {
        for (name, place) in self.entries_of(place) {
            if ["description", "format"].contains(&name) {
                self.text_of(&place);
            }
        }
    }

    fn image(&mut self, fields: &mut Fields<'a>) {
        let example = Need::Required("\"registry.example.com/web:1.0.0\"");
        let Some((place, text)) = self.text(fields, "image", example) else { return };
        let parts = ImageText::of(text);
        match text.parse::<ImageRef>() {
            Ok(_) if parts.path.is_empty() => {
                let what = format!("Horizon takes `{}` for a registry", parts.domain);
                self.warn(&place, what, "write registry/name, or docker.io/library/name");
            }
            Ok(_) => (),
            Err(error) if text.contains("://") => {
                let help = "leave the scheme away: registry.example.com/web:1.0.0";
                self.error(&place, error.to_string(), help);
            }
            Err(error) => {
                let help = "write registry/name:tag, such as registry.example.com/web:1.0.0";
                self.error(&place, error.to_string(), help);
            }
        }
    }

    pub(super) fn environment(&mut self, fields: &mut Fields<'a>) {
        if let Some(place) = fields.get("environment")
            && matches!(place.node.content, Content::Object(_))
        {
            return self.wrong_type(&place, "a list", "write [\"NAME=value\", …]");
        }
        let mut names = Vec::new();
        for (place, text) in self.texts(fields, "environment") {
            match text.split_once('=') {
                Some((name, _)) if !name.is_empty() => {
                    self.once(&mut names, name, &place, "the last counts");
                }
                _ => self.error(&place, format!("`{text}` is no variable"), "write NAME=value"),
            }
        }
    }

    fn ports(&mut self, fields: &mut Fields<'a>, host_ports: &mut Vec<String>) {
        let network = self.text(fields, "network", Need::Optional);
        let mut has_ports = false;
        for name in ["ports", "specific_ports"] {
            for place in self.items(fields, name) {
                has_ports = true;
                self.object(&place, |it, fields| {
                    let address = it.text(fields, "HostIP", Need::Optional);
                    let example = Need::Required("\"8080:80/tcp\"");
                    let port = it.parsed::<PortMapping>(fields, "HostPort", example);
                    let Some((place, port)) = port else { return };
                    if port.host() == AGENT_PORT {
                        let what = "8510 is the port of the agent on every node";
                        it.warn(&place, what, "take another host port");
                    }
                    let address = address.map_or("", |(_, address)| address);
                    let name = format!("{address}:{}/{:?}", port.host(), port.protocol());
                    let name = name.trim_start_matches(':').to_lowercase();
                    it.once(host_ports, name, &place, "a port of the node has one owner");
                });
            }
        }
        for place in self.items(fields, "ephemeral_ports") {
            has_ports = true;
            self.object(&place, |it, fields| {
                it.flag(fields, "localhost_only");
                let example = Need::Required("\"80/tcp\"");
                it.parsed::<ContainerPort>(fields, "port_and_protocol", example);
            });
        }
        match network {
            Some((place, "host")) if has_ports => {
                let what = "a container in the network of the host has no ports of its own";
                self.warn(&place, what, "leave `network` or the ports away");
            }
            Some((place, network)) if network != "host" => {
                let what = format!("the network `{network}` does not exist on nodes");
                self.warn(&place, what, "use \"host\", or leave `network` away");
            }
            _ => (),
        }
    }
}
