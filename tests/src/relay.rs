//! An address that stays while the server behind it comes and goes.
//!
//! Invariant: bytes are passed on as they are; while there is no server, connections are refused by being closed. It is
//! gone when dropped.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A listener that passes connections on.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    target: Mutex<Option<SocketAddr>>,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

impl Relay {
    /// Listens on a port of its own; there is no server behind it yet.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound port");
        let inner = Arc::new(Inner::default());
        let accepting = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.ended.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(stream) = stream {
                    accepting.pass(stream);
                }
            }
        });
        Self { addr, inner }
    }

    /// The address to give to clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// From now on connections go there; those that are open are cut.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        *self.inner.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
        self.inner.cut();
    }
}

impl Inner {
    fn pass(&self, client: TcpStream) {
        let target = *self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(server) = target.and_then(|target| TcpStream::connect(target).ok()) else {
            return;
        };
        let copies = [(&client, &server), (&server, &client)];
        for (from, to) in copies {
            let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else {
                return;
            };
            thread::spawn(move || {
                // A connection may end in any way.
                io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Both).ok();
            });
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.extend([client, server]);
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may be closed already.
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::Relaxed);
        self.inner.cut();
        // Wakes the thread, so that it sees the end.
        TcpStream::connect(self.addr).ok();
    }
}
