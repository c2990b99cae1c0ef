//! A real `sshd` on a loopback port, with its own host key and one authorized key.
//!
//! Invariant: it is started and stopped by its process id and touches no file outside its temporary directory (but the
//! privilege separation directory that a root `sshd` insists on). Where there is no `sshd`, tests say so and pass.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SSHD: &str = "/usr/sbin/sshd";

/// A running `sshd`.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    port: u16,
    files: tempfile::TempDir,
}

impl Sshd {
    /// Starts it; `None`, with a note, where it is not installed or not allowed to run.
    pub fn start() -> Option<Self> {
        if !Path::new(SSHD).exists() {
            skipped("no sshd is installed");
            return None;
        }
        // Only root needs it, and only root can make it.
        std::fs::create_dir_all("/run/sshd").ok();
        let files = tempfile::tempdir().expect("a temporary directory");
        for key in ["host_key", "client_key", "other_key"] {
            make_key(&files.path().join(key));
        }
        std::fs::copy(
            files.path().join("client_key.pub"),
            files.path().join("authorized"),
        )
        .expect("a copied key");
        let port = free_port();
        std::fs::write(files.path().join("config"), config(files.path(), port))
            .expect("a written configuration");
        let mut command = Command::new(SSHD);
        command.args(["-D", "-e", "-f"]).arg(files.path().join("config"));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut sshd = Self {
            child: child.expect("sshd starts"),
            port,
            files,
        };
        if sshd.is_ready() {
            return Some(sshd);
        }
        skipped("sshd does not run here");
        None
    }

    /// The address of a repository on this host.
    pub fn url(&self, path: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", user(), self.port, path.display())
    }

    /// The private key that is let in.
    pub fn key_file(&self) -> PathBuf {
        self.files.path().join("client_key")
    }

    /// A private key that is not.
    pub fn wrong_key_file(&self) -> PathBuf {
        self.files.path().join("other_key")
    }

    /// A file that knows the host's key.
    pub fn known_hosts(&self) -> PathBuf {
        self.known_hosts_with("host_key.pub", "known_hosts")
    }

    /// A file that knows another key for the host.
    pub fn wrong_known_hosts(&self) -> PathBuf {
        self.known_hosts_with("other_key.pub", "wrong_known_hosts")
    }

    /// A file that knows no host.
    pub fn empty_known_hosts(&self) -> PathBuf {
        let file = self.files.path().join("empty_known_hosts");
        std::fs::write(&file, "").expect("a written file");
        file
    }

    fn known_hosts_with(&self, key: &str, name: &str) -> PathBuf {
        let key = std::fs::read_to_string(self.files.path().join(key)).expect("a public key");
        let file = self.files.path().join(name);
        std::fs::write(&file, format!("[127.0.0.1]:{} {key}", self.port)).expect("a written file");
        file
    }

    fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended by itself, which is the same to us.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn config(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host_key\nAuthorizedKeysFile {dir}/authorized\n\
         PidFile {dir}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin yes\nAcceptEnv GIT_PROTOCOL\nUseDNS no\n"
    )
}

fn make_key(file: &Path) {
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(file);
    assert!(
        command.status().expect("ssh-keygen runs").success(),
        "ssh-keygen failed"
    );
}

/// A port that was free a moment ago; `sshd` cannot choose one itself.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound port").port()
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Tells on the test's output that something was not tried, and why.
#[expect(
    clippy::print_stderr,
    reason = "the reader of a test run must see what was not tried"
)]
pub fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
