//! An OpenSSH server on loopback, and an `ssh` that knows it: both keep to the story's folder.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::peers::{free_port, has, run, wait_for};

/// The server, ended with the story.
#[derive(Debug)]
pub struct Sshd {
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Sshd {
    /// Starts one whose commands find the Docker engine at `engine`; `None` where it is not installed.
    pub fn start(folder: &Path, engine: &str) -> Option<Self> {
        if !has("sshd") {
            return None;
        }
        fs::create_dir_all(folder).expect("the folder can be made");
        for key in ["host", "user", "stranger"] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.join(key)));
        }
        fs::copy(folder.join("user.pub"), folder.join("authorized")).expect("the key is there");
        let port = free_port();
        let at = folder.display();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nSetEnv DOCKER_HOST={engine}\n"
        );
        fs::write(folder.join("sshd_config"), config).expect("the folder is writable");
        let host = fs::read_to_string(folder.join("host.pub")).expect("the key is there");
        fs::write(folder.join("known"), format!("[127.0.0.1]:{port} {host}")).expect("writable");
        // sshd starts itself again for each connection, so it must be told by its whole path.
        let sshd = run(Command::new("sh").args(["-c", "command -v sshd"]));
        let log = fs::File::create(folder.join("log")).expect("the log can be written");
        let mut server = Command::new(sshd);
        server.arg("-D").arg("-e").arg("-f").arg(folder.join("sshd_config"));
        let child = server
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd starts");
        let sshd = Self { folder: folder.to_owned(), port, child };
        wait_for(([127, 0, 0, 1], port).into(), &folder.join("log"));
        Some(sshd)
    }

    /// Where it is, as `DOCKER_HOST` has it.
    pub fn address(&self) -> String {
        format!("ssh://127.0.0.1:{}", self.port)
    }

    /// A folder with an `ssh` that logs in with `key`, `user` or `stranger`, and writes down how it
    /// was called.
    pub fn client(&self, key: &str) -> PathBuf {
        let folder = self.folder.join(format!("client-{key}"));
        fs::create_dir_all(&folder).expect("the folder can be made");
        let at = self.folder.display();
        let ssh = run(Command::new("sh").args(["-c", "command -v ssh"]));
        let script = format!(
            "#!/bin/sh\necho \"$*\" >>{at}/calls\nexec {ssh} -F none -o IdentitiesOnly=yes \
             -o BatchMode=yes -o UserKnownHostsFile={at}/known -i {at}/{key} \"$@\"\n"
        );
        let path = folder.join("ssh");
        fs::write(&path, script).expect("the folder is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        folder
    }

    /// How its clients were called.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.folder.join("calls")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
