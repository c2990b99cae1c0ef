//! Secrets that can be recognised wherever they turn up, and whoever looks for them.
//!
//! Invariant: what is looked for is a part of the random half of a secret, so a secret that was sent slightly wrong, cut or
//! quoted is found as well, and so it is in base64 (wherever it begins in it), in hex, percent-encoded and as a list of numbers. What is
//! found is told by its name and place, and not by itself.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Bytes of a secret that are looked for.
const LOOKED_FOR: usize = 18;

/// Bytes by which they are sorted.
const BEGINNING: usize = 4;

/// Between two looks at the processes of a service.
const LOOK: Duration = Duration::from_millis(1);

/// The secrets of one test.
#[derive(Debug, Default)]
pub struct Canaries {
    names: Vec<String>,
    /// By how they begin: which secret it is, and the whole of it.
    forms: HashMap<[u8; BEGINNING], Vec<(usize, Vec<u8>)>>,
}

impl Canaries {
    /// A new secret under a name.
    pub fn make(&mut self, name: &str) -> String {
        let seed = format!("{}-{}-{name}", std::process::id(), self.names.len());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, seed.as_bytes());
        let random: String = STANDARD_NO_PAD
            .encode(digest)
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(32)
            .collect();
        self.watch(name, &random);
        format!("cnry-{random}")
    }

    /// Looks for a secret that somebody else has made, from its first character on.
    pub fn watch(&mut self, name: &str, secret: &str) {
        let part = secret
            .as_bytes()
            .get(..LOOKED_FOR)
            .expect("a secret of some length");
        let number = self.names.len();
        self.names.push(name.to_owned());
        for form in forms(part) {
            let beginning = *form.first_chunk().expect("more than its beginning");
            self.forms.entry(beginning).or_default().push((number, form));
        }
    }

    /// The names of those that are in there.
    pub fn within(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = BTreeSet::new();
        for at in 0..bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let like = rest.first_chunk().and_then(|beginning| self.forms.get(beginning));
            for (number, form) in like.into_iter().flatten() {
                if rest.starts_with(form) {
                    found.insert(*number);
                }
            }
        }
        let names = found.into_iter().filter_map(|number| self.names.get(number));
        names.map(String::as_str).collect()
    }

    /// Fails if one of them is in there.
    #[track_caller]
    pub fn assert_none(&self, place: &str, bytes: &[u8]) {
        let found = self.within(bytes);
        if found.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let shown: Vec<&str> = text
            .lines()
            .filter(|line| !self.within(line.as_bytes()).is_empty())
            .take(3)
            .collect();
        panic!("{found:?} in {place}:\n{}", shown.join("\n"));
    }

    /// The same of every file below a directory.
    #[track_caller]
    pub fn assert_none_below(&self, dir: &Path) -> usize {
        let mut seen = 0;
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            self.assert_none("the name of a file", path.as_os_str().as_encoded_bytes());
            if path.is_dir() {
                seen += self.assert_none_below(&path);
            } else if let Ok(bytes) = fs::read(&path) {
                self.assert_none(&path.display().to_string(), &bytes);
                seen += 1;
            }
        }
        seen
    }
}

/// How a text may be written.
fn forms(text: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![text.to_vec()];
    for before in 0..3 {
        let padded: Vec<u8> = std::iter::repeat_n(0, before)
            .chain(text.iter().copied())
            .collect();
        // Characters that hold bits of the text alone, whatever stands beside it.
        let range = (before * 8).div_ceil(6)..(padded.len() * 8) / 6;
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            forms.push(encoded.as_bytes().get(range.clone()).unwrap_or_default().to_vec());
        }
    }
    let written = |write: fn(&mut String, u8)| {
        let mut all = String::new();
        for byte in text {
            write(&mut all, *byte);
        }
        all.into_bytes()
    };
    forms.push(written(|all, byte| write!(all, "{byte:02x}").expect("a string")));
    forms.push(written(|all, byte| write!(all, "{byte:02X}").expect("a string")));
    forms.push(written(|all, byte| write!(all, "%{byte:02x}").expect("a string")));
    forms.push(written(|all, byte| write!(all, "%{byte:02X}").expect("a string")));
    let mut numbers = written(|all, byte| write!(all, "{byte}, ").expect("a string"));
    numbers.truncate(numbers.len().saturating_sub(2));
    forms.push(numbers);
    forms
}

/// Arguments and environments of programs, each with its NULs.
type Seen = BTreeSet<(Vec<u8>, Vec<u8>)>;

/// Notes the arguments and environments of all processes that a process starts, and of those that these start.
#[derive(Debug)]
pub struct Children {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    looking: Option<JoinHandle<()>>,
}

impl Children {
    /// Of this process, until it is dropped.
    pub fn of(process: u32) -> Self {
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (sink, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let looking = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                look(process, &sink);
                std::thread::sleep(LOOK);
            }
        });
        Self {
            seen,
            stop,
            looking: Some(looking),
        }
    }

    /// Arguments and environment of each so far.
    pub fn seen(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().cloned().collect()
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(looking) = self.looking.take() {
            // It only reads.
            looking.join().ok();
        }
    }
}

fn look(process: u32, sink: &Mutex<Seen>) {
    for thread in fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        // Whatever ends meanwhile is not seen.
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            let read = |file| fs::read(format!("/proc/{child}/{file}")).unwrap_or_default();
            // In this order: what is not the program yet has the arguments of whoever starts it, and is left out.
            let (arguments, environment) = (read("cmdline"), read("environ"));
            if arguments != fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default() {
                let mut seen = sink.lock().unwrap_or_else(PoisonError::into_inner);
                seen.insert((arguments, environment));
            }
            look(child, sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        let mut canaries = Canaries::default();
        let secret = canaries.make("one");
        let other = canaries.make("two");
        for before in ["", "a", "ab", "user:"] {
            let text = format!("{before}{secret}, and more");
            let (mut hex, mut escaped) = (String::new(), String::new());
            for byte in text.bytes() {
                write!(hex, "{byte:02x}").unwrap();
                write!(escaped, "%{byte:02X}").unwrap();
            }
            for told in [
                text.clone(),
                STANDARD_NO_PAD.encode(&text),
                URL_SAFE_NO_PAD.encode(&text),
                hex,
                escaped,
                format!("{:?}", text.as_bytes()),
            ] {
                assert_eq!(canaries.within(told.as_bytes()), ["one"], "{told}");
            }
        }
        assert_eq!(canaries.within(&other.as_bytes()[..28]), ["two"]);
        assert!(canaries.within(b"nothing of all that").is_empty());
    }
}
