//! No core dumps: the memory of every command can hold passwords, tokens and private keys.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Switches core dumps off for this process and its children. On Linux, other processes of the same user
/// cannot read its memory either.
///
/// # Errors
/// If the system refuses, such as under a seccomp filter.
pub(super) fn disable() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    // The limit does not count where the kernel pipes dumps to a program (core(5)).
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
