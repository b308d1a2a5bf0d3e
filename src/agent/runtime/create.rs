//! A container as it should be, in the words of Docker's API.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointSettings, HostConfig, HostConfigLogConfig,
    NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};

use super::ContainerPlan;

fn some<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// What Docker is asked to make of `plan`, from the image with the engine's id `image`.
pub(super) fn create_body(plan: &ContainerPlan, image: &str) -> ContainerCreateBody {
    let endpoints = plan.networks.first().map(|network| {
        let aliases = Some(network.aliases.clone());
        HashMap::from([(network.name.clone(), EndpointSettings { aliases, ..Default::default() })])
    });
    ContainerCreateBody {
        image: Some(image.to_owned()),
        user: plan.user.clone(),
        env: Some(plan.environment.clone()),
        cmd: plan.command.clone(),
        entrypoint: plan.entrypoint.clone(),
        exposed_ports: some(plan.ports.iter().map(|it| it.container.clone()).collect()),
        labels: Some(plan.labels.clone().into_iter().collect()),
        networking_config: Some(NetworkingConfig { endpoints_config: endpoints }),
        host_config: Some(host_config(plan)),
        ..Default::default()
    }
}

fn host_config(plan: &ContainerPlan) -> HostConfig {
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &plan.ports {
        let binding = PortBinding {
            host_ip: some(port.host_ip.clone()),
            host_port: some(port.host_port.clone()),
        };
        ports.entry(port.container.clone()).or_default().get_or_insert_default().push(binding);
    }
    let devices = plan.devices.iter().map(|it| DeviceMapping {
        path_on_host: Some(it.host.clone()),
        path_in_container: Some(it.container.clone()),
        cgroup_permissions: Some(it.permissions.clone()),
    });
    let network = plan.networks.first().map_or("host", |it| it.name.as_str());
    HostConfig {
        binds: some(plan.binds.clone()),
        tmpfs: some(plan.tmpfs.clone().into_iter().collect()),
        network_mode: Some(network.to_owned()),
        port_bindings: some(ports),
        privileged: Some(plan.privileged),
        cap_add: some(plan.cap_add.clone()),
        security_opt: some(plan.security_opt.clone()),
        devices: some(devices.collect()),
        pid_mode: plan.pid.clone(),
        ipc_mode: plan.ipc.clone(),
        sysctls: some(plan.sysctls.clone().into_iter().collect()),
        memory: plan.limits.memory,
        nano_cpus: plan.limits.nano_cpus,
        log_config: plan
            .log_driver
            .clone()
            .map(|driver| HostConfigLogConfig { typ: Some(driver), config: None }),
        // Always, but for one that was stopped on purpose: a kept container must not come up
        // beside its successor when the engine restarts.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        ..Default::default()
    }
}
