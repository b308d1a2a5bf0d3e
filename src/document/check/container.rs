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

impl<'a> Inspector<'a> {
    pub(super) fn deployment(&mut self, place: &Place<'a>) {
        self.object(place, |it, fields| {
            let containers = it.entries(fields, "services");
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
                it.object(&place, Inspector::container);
            }
        });
    }

    fn container(&mut self, fields: &mut Fields<'a>) {
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
        self.ports(fields);
        self.whole(fields, "max_memory_mb");
        self.number(fields, "max_cpus");
        self.map_of_texts(fields, "tmpfs");
        self.map_of_texts(fields, "sysctls");
        for (_, place) in self.entries(fields, "secrets") {
            self.entries_of(&place);
        }
        self.entries(fields, "network_isolation");
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
        for (place, text) in self.texts(fields, "environment") {
            if text.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
                self.error(&place, format!("`{text}` is no variable"), "write NAME=value");
            }
        }
    }

    fn ports(&mut self, fields: &mut Fields<'a>) {
        let network = self.text(fields, "network", Need::Optional);
        let mut has_ports = false;
        for name in ["ports", "specific_ports"] {
            for place in self.items(fields, name) {
                has_ports = true;
                self.object(&place, |it, fields| {
                    it.text(fields, "HostIP", Need::Optional);
                    let example = Need::Required("\"8080:80/tcp\"");
                    if let Some((place, port)) =
                        it.parsed::<PortMapping>(fields, "HostPort", example)
                        && port.host() == AGENT_PORT
                    {
                        let what = "8510 is the port of the agent on every node";
                        it.warn(&place, what, "take another host port");
                    }
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
