//! What can be typed: the flags of `headwater-agent`, and its help.
//!
//! Invariant: everything is taken as text, so that all mistakes are told at once by `settings`, and nothing here is
//! printed but the help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

const AFTER_HELP: &str = "\
Examples:
  # Two configs as JSON files below /etc/app, checked before and announced after each change
  headwater-agent --server http://config:7171 --config payments/prod --config feature-flags \\
      --dir /etc/app --check 'app --test \"$HEADWATER_FILE\"' --on-change 'systemctl reload app'

  # One file, and a signal to the process that reads it
  headwater-agent --config edge/nginx --file /etc/nginx/upstreams.json \\
      --signal HUP --pid-file /run/nginx.pid

  # Run a program with its config in place, and restart it with each change
  headwater-agent --config payments/prod --dir /run/app -- app --config /run/app/payments/prod.json

  # Init container: write and exit
  headwater-agent --config payments/prod --dir /config --once --timeout 30s

  # No files: ask http://127.0.0.1:7172/v1/configs/feature-flags
  headwater-agent --config feature-flags --listen 127.0.0.1:7172

A config `payments/prod` is written as `payments/prod.json` (by format) below --dir. Commands are
run by `sh -c` with HEADWATER_FILE, HEADWATER_DIR, HEADWATER_CONFIG, HEADWATER_VERSION and
HEADWATER_DIGEST. SIGHUP tries again what was refused; SIGTERM ends the agent and its program.

Exit codes: 0 fine, also with --once where the newest version was refused or not to be had and the
last known good one is written; 1 refused or failed, and there is none; 2 wrong usage; 3 the server
was not reached, and there is nothing on disk. With a program, its own exit code, or 128 and the
number of the signal that ended it.";

/// Keeps the configs of a program on its machine: files, a command on change, a local HTTP address
///
/// The files of one version are switched together, so that a reader never sees half. A version that fails its check or
/// its command is refused and reported, and the one before stays. While the server is away, the last known good one is
/// used, also after a restart.
#[derive(Debug, Parser)]
#[command(name = "headwater-agent", version, arg_required_else_help = true, after_help = AFTER_HELP)]
#[command(max_term_width = 100)]
pub(crate) struct Options {
    #[arg(
        long,
        value_name = "URL",
        env = "HEADWATER_SERVER",
        value_delimiter = ',',
        help_heading = "Server",
        help = "Address of a server; several are tried in turn [default: http://127.0.0.1:7171]"
    )]
    pub(crate) server: Vec<String>,
    /// Repository
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        env = "HEADWATER_AGENT_REPO",
        help_heading = "Server"
    )]
    pub(crate) repo: String,
    /// File that holds the token, instead of the variable `HEADWATER_TOKEN`
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub(crate) token_file: Option<PathBuf>,
    /// PEM file of the authorities to trust, instead of those of the system
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM file of a certificate to show to the server, and of its key if `--client-key` names no other
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub(crate) client_cert: Option<PathBuf>,
    /// PEM file of the key of `--client-cert`
    #[arg(long, value_name = "FILE", requires = "client_cert", help_heading = "Server")]
    pub(crate) client_key: Option<PathBuf>,
    /// How changes are heard of: `auto` or `socket` (one WebSocket for everything)
    #[arg(long, value_name = "KIND", default_value = "auto", help_heading = "Server")]
    pub(crate) transport: String,
    /// Name of this instance, unique among all [default: the name of this machine]
    #[arg(long, value_name = "ID", env = "HEADWATER_INSTANCE", help_heading = "Server")]
    pub(crate) instance: Option<String>,
    /// Label of this instance, which chooses variants and stages; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", help_heading = "Server")]
    pub(crate) labels: Vec<String>,

    /// Config to keep; may be repeated
    #[arg(long = "config", value_name = "NAME", help_heading = "Files")]
    pub(crate) configs: Vec<String>,
    /// Directory for a file per config, which are switched together
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub(crate) dir: Option<PathBuf>,
    /// File for the only config, replaced by a rename
    #[arg(long, value_name = "PATH", help_heading = "Files")]
    pub(crate) file: Option<PathBuf>,
    /// `toml`, `json`, `yaml`, `env` or `properties` [default: by the name of --file, else json]
    #[arg(long, value_name = "FORMAT", help_heading = "Files")]
    pub(crate) format: Option<String>,
    /// Put before each name of an env file
    #[arg(long, value_name = "PREFIX", help_heading = "Files")]
    pub(crate) env_prefix: Option<String>,
    /// Mode of the files [default: 0644]
    #[arg(long, value_name = "OCTAL", help_heading = "Files")]
    pub(crate) mode: Option<String>,
    /// Owner of the files: `USER`, `USER:GROUP` or `:GROUP`
    #[arg(long, value_name = "OWNER", help_heading = "Files")]
    pub(crate) owner: Option<String>,

    /// Command that judges a new version before it is used; it refuses with an exit code other than 0
    #[arg(long, value_name = "CMD", help_heading = "Programs")]
    pub(crate) check: Option<String>,
    /// Command to run after each change; if it fails, the version before comes back
    #[arg(long, value_name = "CMD", help_heading = "Programs")]
    pub(crate) on_change: Option<String>,
    /// Longest run of a command
    #[arg(long, value_name = "TIME", default_value = "60s", help_heading = "Programs")]
    pub(crate) command_timeout: String,
    /// Signal to send after each change, to the process of --pid-file or to PROGRAM
    #[arg(long, value_name = "NAME", help_heading = "Programs")]
    pub(crate) signal: Option<String>,
    /// File that holds the id of the process to signal
    #[arg(long, value_name = "FILE", help_heading = "Programs")]
    pub(crate) pid_file: Option<PathBuf>,
    /// What PROGRAM gets after a change: `restart`, `signal` or `nothing` [default: restart, or signal if --signal is
    /// given]
    #[arg(long, value_name = "POLICY", help_heading = "Programs")]
    pub(crate) on_change_program: Option<String>,
    /// How long PROGRAM may take to end before it is killed
    #[arg(long, value_name = "TIME", default_value = "10s", help_heading = "Programs")]
    pub(crate) stop_grace: String,
    /// How long a new version must be in use before it counts as good; a PROGRAM that dies within is started again, the
    /// third time with the last known good version [default: 60s with PROGRAM, else 5s]
    #[arg(long, value_name = "TIME", help_heading = "Programs")]
    pub(crate) probation: Option<String>,
    /// Program to run once its files are there
    #[arg(last = true, value_name = "PROGRAM", help_heading = "Programs")]
    pub(crate) program: Vec<OsString>,

    /// Write the files once and exit
    #[arg(long, help_heading = "Run")]
    pub(crate) once: bool,
    /// How long --once waits for a server that does not answer; what is on disk is taken sooner if it refuses the
    /// connection
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "Run")]
    pub(crate) timeout: String,
    /// Local address to answer programs at, such as `127.0.0.1:7172`
    #[arg(long, value_name = "ADDR", help_heading = "Run")]
    pub(crate) listen: Option<String>,
    /// Let --listen be an address that other machines reach, without any password
    #[arg(long, help_heading = "Run")]
    pub(crate) insecure_listen: bool,
    /// Directory that keeps the last known good versions [default: `STATE_DIRECTORY`, /var/lib/headwater-agent for
    /// root, else ~/.local/state/headwater-agent]
    #[arg(long, value_name = "DIR", env = "HEADWATER_CACHE_DIR", help_heading = "Run")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// How log lines look: `auto` (text on a terminal, else json), `text` or `json`
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "auto",
        env = "HEADWATER_LOG_FORMAT",
        help_heading = "Run"
    )]
    pub(crate) log_format: String,
    /// Least important log lines: `error`, `warn`, `info` or `debug`
    #[arg(long, value_name = "LEVEL", default_value = "info", help_heading = "Run")]
    pub(crate) log_level: String,
}
