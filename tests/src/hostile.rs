//! A server that speaks just enough HTTP and Git (protocol version 2) to lie.
//!
//! Invariant: each connection gets exactly what the script says and is then closed. What is deliberately absent:
//! any check of what the client asks.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What the server does.
#[derive(Debug, Clone)]
pub enum Script {
    /// Accept, read, never answer.
    Silent,
    /// Answer with these bytes, whatever is asked.
    Raw(Vec<u8>),
    /// Advertise these refs (`ID NAME`), and give this pack to who asks for one.
    Serve {
        /// Lines of the listing.
        refs: Vec<String>,
        /// The pack, true or not.
        pack: Vec<u8>,
    },
    /// Advertise refs without end.
    EndlessRefs,
    /// Refuse a fetch with this line on the error band.
    Refuse {
        /// Lines of the listing.
        refs: Vec<String>,
        /// What to say.
        words: String,
    },
}

/// A running liar.
#[derive(Debug)]
pub struct Hostile {
    addr: SocketAddr,
    stopped: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
}

impl Hostile {
    /// Starts it on port 0.
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound port");
        let (stopped, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (seen, count) = (Arc::clone(&stopped), Arc::clone(&connections));
        drop(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::Acquire) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                count.fetch_add(1, Ordering::AcqRel);
                let (script, seen) = (script.clone(), Arc::clone(&seen));
                // A client that hangs up early is what many of these scripts are for.
                drop(std::thread::spawn(move || talk(stream, &script, &seen).ok()));
            }
        }));
        Self {
            addr,
            stopped,
            connections,
        }
    }

    /// The address of its repository.
    pub fn url(&self) -> String {
        format!("http://{}/origin.git", self.addr)
    }

    /// The port it listens on, for other schemes.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Number of connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the listener, so that its thread sees the flag.
        TcpStream::connect(self.addr).ok();
    }
}

/// One line of Git's framing.
pub fn pkt(text: &str) -> String {
    format!("{:04x}{text}", text.len() + 4)
}

fn talk(mut stream: TcpStream, script: &Script, stopped: &AtomicBool) -> std::io::Result<()> {
    loop {
        let Some((line, body)) = read_request(&mut stream)? else {
            return Ok(());
        };
        match script {
            Script::Silent => {
                while !stopped.load(Ordering::Acquire) {
                    std::thread::sleep(Duration::from_millis(20));
                }
                return Ok(());
            }
            Script::Raw(bytes) => {
                stream.write_all(bytes)?;
                return Ok(());
            }
            Script::EndlessRefs if body.contains("ls-refs") => return endless(&mut stream),
            _ if line.starts_with("GET") => {
                let mut text = pkt("# service=git-upload-pack\n") + "0000" + &pkt("version 2\n");
                text += &(pkt("ls-refs=unborn\n")
                    + &pkt("fetch=shallow\n")
                    + &pkt("object-format=sha1\n")
                    + "0000");
                respond(&mut stream, "advertisement", text.as_bytes())?;
            }
            Script::Serve { refs, .. } | Script::Refuse { refs, .. } if body.contains("ls-refs") => {
                let text = refs
                    .iter()
                    .map(|line| pkt(&format!("{line}\n")))
                    .collect::<String>()
                    + "0000";
                respond(&mut stream, "result", text.as_bytes())?;
            }
            Script::Serve { pack, .. } => {
                let mut bytes = pkt("packfile\n").into_bytes();
                for chunk in pack.chunks(60_000) {
                    bytes.extend_from_slice(format!("{:04x}", chunk.len() + 5).as_bytes());
                    bytes.push(1);
                    bytes.extend_from_slice(chunk);
                }
                bytes.extend_from_slice(b"0000");
                respond(&mut stream, "result", &bytes)?;
            }
            Script::Refuse { words, .. } => {
                let text = pkt("packfile\n") + &pkt(&format!("\u{3}{words}")) + "0000";
                respond(&mut stream, "result", text.as_bytes())?;
            }
            Script::EndlessRefs => return Ok(()),
        }
    }
}

fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-result\r\nconnection: close\r\n\r\n",
    )?;
    for block in 0_u64.. {
        let mut lines = String::new();
        for number in 0..1_000 {
            write!(
                lines,
                "{}",
                pkt(&format!("{:040x} refs/heads/b{block}-{number}\n", 1))
            )
            .expect("a string takes text");
        }
        stream.write_all(lines.as_bytes())?;
    }
    Ok(())
}

fn respond(stream: &mut TcpStream, kind: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-{kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// Request line and body, or nothing if the client hung up.
fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<(String, String)>> {
    let (mut seen, mut buffer) = (Vec::new(), [0_u8; 4_096]);
    let head = loop {
        if let Some(at) = seen.windows(4).position(|part| part == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer)? {
            0 => return Ok(None),
            read => seen.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    };
    let text = String::from_utf8_lossy(seen.get(..head).unwrap_or_default()).to_ascii_lowercase();
    let length = text.lines().find_map(|line| {
        line.strip_prefix("content-length: ")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    while seen.len() < head + length.unwrap_or(0) {
        match stream.read(&mut buffer)? {
            0 => return Ok(None),
            read => seen.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
    let line = String::from_utf8_lossy(&seen)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    Ok(Some((
        line,
        String::from_utf8_lossy(seen.get(head..).unwrap_or_default()).into_owned(),
    )))
}
