//! The flags about files, the cache and the local address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use headwater_render::Format;
use headwater_wire::ConfigName;

use super::parse::{is_env_name, mode};
use super::{Draft, Environment, Place, clip};
use crate::agent::files::{Access, Layout, Owner};
use crate::agent::format::{FileFormat, FormatWord};
use crate::agent::options::Options;

impl Draft {
    pub(super) fn format(&mut self, options: &Options) -> Option<FileFormat> {
        let word = match &options.format {
            Some(text) => self.parsed("--format", text, text.parse(), "the format of the files")?,
            None => by_extension(options.file.as_deref()),
        };
        let prefix = options.env_prefix.clone();
        if let Some(prefix) = &prefix {
            if word != FormatWord::Env {
                self.mistake(
                    "`--env-prefix` is about env files",
                    "add `--format env`, or leave it out",
                );
            }
            if !is_env_name(prefix) {
                self.mistake(
                    format!("`--env-prefix` cannot be `{}`", clip(prefix)),
                    "use letters, digits and `_`, such as `APP_`",
                );
            }
        }
        Some(match word {
            FormatWord::Document(format) => FileFormat::Document(format),
            FormatWord::Env => FileFormat::Env {
                prefix: prefix.unwrap_or_default(),
            },
            FormatWord::Properties => FileFormat::Properties,
        })
    }

    pub(super) fn place(
        &mut self,
        options: &Options,
        configs: &[ConfigName],
        format: Option<&FileFormat>,
    ) -> Option<Place> {
        match (&options.dir, &options.file) {
            (Some(_), Some(_)) => {
                self.mistake("`--dir` and `--file` are both given", "choose one of them");
                None
            }
            (Some(dir), None) => match Layout::new(configs, format?.extension()) {
                Ok(layout) => Some(Place::Directory(dir.clone(), layout)),
                Err(mistakes) => {
                    for mistake in mistakes {
                        self.mistake(
                            mistake.to_string(),
                            "give each to an agent and a directory of its own",
                        );
                    }
                    None
                }
            },
            (None, Some(file)) => match configs {
                [config] => Some(Place::Single(file.clone(), config.clone())),
                // That none is named is told already.
                [] => None,
                [_, ..] => {
                    self.mistake(
                        "`--file` holds one config, and several are named",
                        "use `--dir`, which switches all of them together",
                    );
                    None
                }
            },
            (None, None) => self.no_place(options),
        }
    }

    fn no_place(&mut self, options: &Options) -> Option<Place> {
        if options.listen.is_none() || options.once {
            self.mistake(
                "there is nowhere to write to",
                "name a directory with `--dir`, or a file with `--file`",
            );
            return None;
        }
        for (flag, is_given) in [
            ("--check", options.check.is_some()),
            ("--mode", options.mode.is_some()),
            ("--owner", options.owner.is_some()),
        ] {
            if is_given {
                self.mistake(
                    format!("`{flag}` is about files, and none are written"),
                    "add `--dir` or `--file`",
                );
            }
        }
        Some(Place::Nowhere)
    }

    pub(super) fn access(&mut self, options: &Options) -> Access {
        let mode = options.mode.as_ref().and_then(|text| {
            self.parsed(
                "--mode",
                text,
                mode(text),
                "write it as for `chmod`, such as 0640",
            )
        });
        let owner: Option<Owner> = options.owner.as_ref().and_then(|text| {
            self.parsed(
                "--owner",
                text,
                text.parse(),
                "names or numbers, such as `app:app`",
            )
        });
        Access::new(mode, owner)
    }

    pub(super) fn listen(&mut self, options: &Options) -> Option<SocketAddr> {
        let Some(text) = &options.listen else {
            if options.insecure_listen {
                self.mistake("`--insecure-listen` is about `--listen`", "leave it out");
            }
            return None;
        };
        let addr: SocketAddr = self.parsed(
            "--listen",
            text,
            text.parse(),
            "write an address and a port, such as `127.0.0.1:7172`",
        )?;
        if !addr.ip().is_loopback() && !options.insecure_listen {
            self.mistake(
                format!("`--listen {addr}` could be reached by other machines, and asks for no password"),
                "use `127.0.0.1`, or add `--insecure-listen` if the network is yours alone",
            );
        }
        if options.once {
            self.mistake(
                "`--listen` and `--once` are both given",
                "an agent that exits can answer nobody",
            );
        }
        Some(addr)
    }

    /// Not below `/tmp`: what is kept there is started from when the server is down.
    pub(super) fn cache_dir(&mut self, options: &Options, environment: &Environment) -> Option<PathBuf> {
        let below_home = || {
            let state = environment.home.as_ref().map(|home| home.join(".local/state"));
            let state = environment.xdg_state_home.clone().or(state)?;
            Some(state.join("headwater-agent"))
        };
        let found = options
            .cache_dir
            .clone()
            .or_else(|| environment.state_directory.clone())
            .or_else(|| {
                environment
                    .is_root
                    .then(|| PathBuf::from("/var/lib/headwater-agent"))
            })
            .or_else(below_home);
        if found.is_none() {
            self.mistake(
                "there is no directory for the last known good versions",
                "name one with `--cache-dir`; it must outlive a restart",
            );
        }
        found
    }
}

fn by_extension(file: Option<&Path>) -> FormatWord {
    let extension = file.and_then(|file| file.extension()?.to_str());
    match extension {
        Some("yml") => FormatWord::Document(Format::Yaml),
        Some(word) => word.parse().unwrap_or(FormatWord::Document(Format::Json)),
        None => FormatWord::Document(Format::Json),
    }
}
