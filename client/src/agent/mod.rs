//! The agent: a program that keeps configs on its machine for programs of any language.
//!
//! It stands on the client library, which decides which version is wanted, keeps the last known good one and reports;
//! here is what happens on the machine: files, commands, signals, a supervised program, a local HTTP address.
//! Invariant: nothing of it is compiled into a program that uses the library alone.

mod board;
mod command;
mod desk;
mod files;
mod format;
mod init;
mod listen;
mod options;
mod progress;
mod run;
mod settings;
mod signal;
mod supervise;
mod switch;

pub use run::main;
