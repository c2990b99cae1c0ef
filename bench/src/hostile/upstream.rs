//! Upstreams that speak just enough HTTP and Git to be followed, and then list more refs than anybody has.
//!
//! Invariant: until they are told to be hostile, they have one commit and give it to whoever asks. One counts how often
//! it is listed. What is deliberately absent: any check of what a client asks.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::failure::Failure;

/// Refs that a hostile upstream lists.
const REFS: u64 = 3_000_000;
/// Refs that are written at once.
const REFS_AT_ONCE: u64 = 1_000;
/// Largest request that is read, in bytes.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// A running server of three repositories: `quiet`, which counts, `fickle`, which lies when it is asked for its refs, and
/// `old`, which then speaks the protocol of servers that list everything at once.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    tip: String,
    pack: Vec<u8>,
    hostile: AtomicBool,
    ended: AtomicBool,
    /// Listings of `quiet`.
    listed: AtomicU64,
    /// Times that refs without end were asked for.
    lied: AtomicU64,
    /// Most bytes of refs that one answer came to before the client had enough.
    bytes_max: AtomicU64,
}

impl Upstream {
    /// Serves one commit, of which everything is in the pack.
    pub(super) fn start(tip: String, pack: Vec<u8>) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            tip,
            pack,
            hostile: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            listed: AtomicU64::new(0),
            lied: AtomicU64::new(0),
            bytes_max: AtomicU64::new(0),
        });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.ended.load(Ordering::Acquire) {
                    break;
                }
                let serving = serving.clone();
                // A client that hangs up is what this is for.
                thread::spawn(move || serving.talk(stream).ok());
            }
        });
        Ok(Self { address, shared })
    }

    /// How often `quiet` was listed so far.
    pub(super) fn listed(&self) -> u64 {
        self.shared.listed.load(Ordering::Acquire)
    }

    /// From now on two of the three lie.
    pub(super) fn lie(&self) {
        self.shared.hostile.store(true, Ordering::Release);
    }

    /// How often one has lied, and the most bytes that a client took.
    pub(super) fn lied(&self) -> (u64, u64) {
        let shared = &self.shared;
        (
            shared.lied.load(Ordering::Acquire),
            shared.bytes_max.load(Ordering::Acquire),
        )
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        // Wakes the listener, so that its thread sees it.
        TcpStream::connect(self.address).ok();
    }
}

impl Shared {
    fn talk(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut seen = Vec::new();
        while let Some((path, body)) = read_request(&mut stream, &mut seen)? {
            let lies = self.hostile.load(Ordering::Acquire);
            if path.starts_with("/old.git/info/refs") && lies {
                let first = "0".repeat(39) + "1 HEAD\0side-band-64k ofs-delta object-format=sha1\n";
                let begin = pkt("# service=git-upload-pack\n") + "0000" + &pkt(&first);
                return self.endless(&mut stream, "advertisement", &begin);
            }
            if path.contains("/info/refs") {
                let text = pkt("# service=git-upload-pack\n")
                    + "0000"
                    + &pkt("version 2\n")
                    + &pkt("ls-refs=unborn\n")
                    + &pkt("fetch=shallow\n")
                    + &pkt("object-format=sha1\n")
                    + "0000";
                respond(&mut stream, "advertisement", text.as_bytes())?;
            } else if body.contains("command=ls-refs") {
                if path.starts_with("/fickle.git/") && lies {
                    return self.endless(&mut stream, "result", "");
                }
                self.listed
                    .fetch_add(u64::from(path.starts_with("/quiet.git/")), Ordering::AcqRel);
                let tip = &self.tip;
                let text = pkt(&format!("{tip} HEAD symref-target:refs/heads/main\n"))
                    + &pkt(&format!("{tip} refs/heads/main\n"))
                    + "0000";
                respond(&mut stream, "result", text.as_bytes())?;
            } else {
                respond(&mut stream, "result", &self.packed())?;
            }
        }
        Ok(())
    }

    fn packed(&self) -> Vec<u8> {
        let mut bytes = pkt("packfile\n").into_bytes();
        for chunk in self.pack.chunks(60_000) {
            bytes.extend_from_slice(format!("{:04x}\u{1}", chunk.len() + 5).as_bytes());
            bytes.extend_from_slice(chunk);
        }
        bytes.extend_from_slice(b"0000");
        bytes
    }

    /// More refs than anybody has, in an answer that says no length.
    fn endless(&self, stream: &mut TcpStream, kind: &str, begin: &str) -> io::Result<()> {
        self.lied.fetch_add(1, Ordering::AcqRel);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-{kind}\r\nconnection: close\r\n\r\n{begin}"
        );
        stream.write_all(head.as_bytes())?;
        let mut sent = 0;
        for block in 0..REFS / REFS_AT_ONCE {
            let mut lines = String::new();
            for number in 0..REFS_AT_ONCE {
                let line = format!("{:040x} refs/heads/b{block}-{number}\n", 1);
                write!(lines, "{}", pkt(&line)).map_err(io::Error::other)?;
            }
            stream.write_all(lines.as_bytes())?;
            sent += lines.len() as u64;
            self.bytes_max.fetch_max(sent, Ordering::AcqRel);
        }
        stream.write_all(b"0000")
    }
}

/// One line of Git's framing.
fn pkt(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

fn respond(stream: &mut TcpStream, kind: &str, body: &[u8]) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-{kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// Path and body of the next request; nothing if the client hung up.
fn read_request(stream: &mut TcpStream, seen: &mut Vec<u8>) -> io::Result<Option<(String, String)>> {
    let mut buffer = [0; 4_096];
    loop {
        if let Some((path, whole, head)) = parsed(seen)?
            && seen.len() >= whole
        {
            let body = seen.get(head..whole).unwrap_or_default();
            let body = String::from_utf8_lossy(body).into_owned();
            seen.drain(..whole);
            return Ok(Some((path, body)));
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 || seen.len() > REQUEST_BYTES_MAX {
            return Ok(None);
        }
        seen.extend(buffer.iter().take(count));
    }
}

/// Path, bytes of head and body, and bytes of the head alone of the request at the start, once its head is whole.
fn parsed(seen: &[u8]) -> io::Result<Option<(String, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(seen).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let length = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    let path = request.path.unwrap_or_default().to_owned();
    Ok(Some((path, head + length.unwrap_or(0), head)))
}
