//! Pages that are followed.

use super::*;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};

use headwater_tests::http::chunk;
use headwater_tests::wait::wait_until;

/// A page that is followed.
pub(crate) struct Followed {
    reader: BufReader<TcpStream>,
    text: String,
}

impl Followed {
    fn open(server: &TestServer, target: &str) -> Self {
        Self::at(server.addr(), target)
    }

    /// At one of the addresses of a service.
    pub(crate) fn at(addr: SocketAddr, target: &str) -> Self {
        let ask = Ask::get(target).header("accept", "text/html, text/event-stream");
        let (reader, status, headers) = ask.open(addr).unwrap();
        assert_eq!(status, 200);
        let media = headers.iter().find(|(name, _)| name == "content-type").unwrap();
        assert_eq!(media.1, "text/event-stream");
        Self {
            reader,
            text: String::new(),
        }
    }

    /// The next part that is told; none once the stream ends.
    pub(crate) fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let part: Vec<&str> = event
                    .lines()
                    .filter_map(|line| line.strip_prefix("data: "))
                    .collect();
                let (part, rest) = (part.join("\n"), rest.to_owned());
                self.text = rest;
                if !part.is_empty() {
                    return Some(part);
                }
                continue;
            }
            let more = chunk(&mut self.reader).ok()??;
            self.text += &String::from_utf8(more).unwrap();
        }
    }

    /// Reads on until a part says it.
    fn until(&mut self, said: &str) -> String {
        loop {
            let part = self.next().expect("the page goes on");
            if part.contains(said) {
                return part;
            }
        }
    }
}

#[test]
fn a_page_that_is_followed_tells_its_part_at_once_and_again_when_it_is_another() {
    let site = Site::new();
    let mut followed = Followed::open(&site.server, "/repos/default");
    let first = followed.next().unwrap();
    assert!(
        first.contains("Which version is where") && !first.contains("<html"),
        "{first}"
    );
    let newer = set(&site.origin, 5);
    let part = followed.until(newer.short());
    assert!(!part.contains("Why the head was rejected"), "{part}");
}

/// A number that the service counts of its dashboard.
fn counted(server: &TestServer, name: &str) -> u64 {
    let text = server.get("/metrics").expect(200).text();
    let name = format!("headwater_dashboard_{name} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.expect("the metric").parse().unwrap()
}

#[test]
fn whoever_follows_the_same_page_follows_one_and_leaves_nothing_behind() {
    let site = Site::new();
    let mut all: Vec<Followed> = (0..20)
        .map(|_| Followed::open(&site.server, "/repos/default"))
        .collect();
    let other = Followed::open(&site.server, "/repos/default/commits");
    let newer = set(&site.origin, 5);
    for followed in &mut all {
        followed.until(newer.short());
    }
    let now = |name| counted(&site.server, name);
    assert_eq!((now("followers"), now("pages"), now("refused_total")), (21, 2, 0));
    assert!(now("renderings_total") >= 2);
    drop((all, other));
    wait_until("nobody follows", || (now("followers"), now("pages")) == (0, 0));
}

#[test]
fn a_page_that_is_gone_says_so_where_it_was_and_streams_end_with_the_service() {
    let mut site = Site::new();
    let mut followed = Followed::open(&site.server, "/repos/elsewhere");
    followed.until("no such repository");
    let ended = site.server.ask_to_stop();
    while followed.next().is_some() {}
    let mut rest = String::new();
    followed.reader.read_line(&mut rest).ok();
    ended();
}
