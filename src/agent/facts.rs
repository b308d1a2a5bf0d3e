//! What this machine is: measured, never configured.

use std::{fs, io::Read as _, path::Path, thread};

use crate::{
    document::NodeFacts,
    types::{Arch, Digest},
};

/// The longest file of `/proc` that is read: `cpuinfo` grows with every processor.
const LONGEST: u64 = 1 << 20;

/// What a node finds out about the machine it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Processors that programs may use.
    pub cpus: u64,
    /// Memory in MiB.
    pub memory: u64,
    /// The architecture of its processors.
    pub arch: Arch,
    /// Tells it apart from others: the board's serial number, or a hash of the machine id, which
    /// itself should not be shown (machine-id(5)). Empty if there is neither.
    pub hardware_id: String,
    /// The system by its short name, such as `debian`; empty if it does not say.
    pub operating_system: String,
    /// Whether the agent itself runs in a container.
    pub containerized: bool,
}

impl Machine {
    /// Measures the machine whose files lie under `root`: `/`, but in tests.
    pub fn measured(root: &Path) -> Self {
        let read = |path: &str| read(&root.join(path));
        Self {
            cpus: thread::available_parallelism().map_or(1, |it| it.get() as u64),
            memory: memory(&read("proc/meminfo")),
            arch: Arch::of_this_machine(),
            hardware_id: hardware_id(&read("proc/cpuinfo"), &read("etc/machine-id")),
            operating_system: operating_system(&read("etc/os-release")),
            containerized: [".dockerenv", "run/.containerenv"]
                .iter()
                .any(|path| root.join(path).exists()),
        }
    }

    /// The machine as a node that runs services of `arch`. What could not be measured is unknown.
    pub fn facts(&self, arch: Arch) -> NodeFacts {
        let known = |text: &String| Some(text.clone()).filter(|it| !it.is_empty());
        NodeFacts {
            cpus: Some(self.cpus),
            memory_mb: Some(self.memory).filter(|it| *it > 0),
            hardware_id: known(&self.hardware_id),
            operating_system: known(&self.operating_system),
            containerized: Some(self.containerized),
            ..NodeFacts::device(arch)
        }
    }
}

/// The beginning of a file, or nothing if it cannot be read: a fact may be missing.
fn read(path: &Path) -> String {
    let mut text = String::new();
    let file = fs::File::open(path).ok();
    let _ = file.map(|file| file.take(LONGEST).read_to_string(&mut text));
    text
}

fn memory(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|it| it.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

fn hardware_id(cpuinfo: &str, machine_id: &str) -> String {
    let serial = cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == "Serial")
        .map(|(_, value)| value.trim())
        .filter(|serial| !serial.is_empty() && serial.bytes().any(|b| b != b'0'));
    match (serial, machine_id.trim()) {
        (Some(serial), _) => serial.to_owned(),
        (None, "") => String::new(),
        (None, id) => Digest::of(format!("edgepost hardware id {id}").as_bytes()).hex(),
    }
}

fn operating_system(os_release: &str) -> String {
    let id = os_release.lines().find_map(|line| line.strip_prefix("ID="));
    id.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_in_mebibytes() {
        assert_eq!(memory("MemFree: 1 kB\nMemTotal:        3882436 kB\n"), 3791);
        assert_eq!(memory(""), 0);
    }

    #[test]
    fn the_serial_number_of_the_board_wins_over_the_machine_id() {
        assert_eq!(hardware_id("Serial\t\t: 10000000abcd\n", "m"), "10000000abcd");
        let hashed = hardware_id("Serial : 0000000000\n", "secret-id\n");
        assert_eq!(hashed.len(), 64);
        assert!(!hashed.contains("secret"));
        assert_eq!(hardware_id("", ""), "");
    }

    #[test]
    fn what_could_not_be_measured_is_unknown() {
        let nowhere = Machine::measured(Path::new("/nonexistent"));
        let facts = nowhere.facts("arm64".parse().unwrap());
        assert_eq!((facts.memory_mb, facts.hardware_id), (None, None));
        assert_eq!(facts.containerized, Some(false));
    }

    #[test]
    fn the_system_is_known_by_its_short_name() {
        assert_eq!(operating_system("NAME=\"x\"\nID=debian\nID_LIKE=y\n"), "debian");
    }
}
