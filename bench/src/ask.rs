//! One request on a connection of its own, for what is asked now and then.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::crowd::answer;
use crate::failure::{Failure, while_doing};

/// Longest wait for more of an answer: a request that waits for news is answered after a minute at the latest.
const ANSWER_DEADLINE: Duration = Duration::from_secs(70);

/// Status and body of the answer to a whole request.
pub(crate) fn asked(address: SocketAddr, request: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    stream.write_all(request.as_bytes())?;
    let (mut inbox, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let head = answer(&inbox).map_err(|error| io::Error::other(error.to_string()))?;
        if let Some(head) = head {
            let body = inbox.split_off(head.bytes - head.body);
            return Ok((head.status, body));
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        inbox.extend(buffer.iter().take(count));
    }
}

/// Status and body of what is at a path.
pub(crate) fn got(address: SocketAddr, path: &str) -> Result<(u16, Vec<u8>), Failure> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    asked(address, &request).map_err(while_doing("the service does not answer"))
}

/// The JSON that is at a path.
pub(crate) fn view(address: SocketAddr, path: &str) -> Result<Value, Failure> {
    let (status, body) = got(address, path)?;
    match serde_json::from_slice(&body) {
        Ok(view) if status == 200 => Ok(view),
        _ => Err(Failure::new(format!("`{path}` is answered with {status}"))),
    }
}

/// The numbers that a service tells of itself, as it told them at one moment.
pub(crate) struct Numbers(String);

impl Numbers {
    /// Reads them.
    pub(crate) fn of(address: SocketAddr) -> Result<Self, Failure> {
        let (_, body) = got(address, "/metrics")?;
        Ok(Self(String::from_utf8_lossy(&body).into_owned()))
    }

    /// The sum of all series of that name; zero where there is none.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let series = self.0.lines().filter_map(|line| line.strip_prefix(name));
        let values = series.filter_map(|rest| {
            let bare = rest.starts_with([' ', '{']);
            rest.rsplit(' ').next()?.parse::<f64>().ok().filter(|_| bare)
        });
        // The sum of nothing would be a zero below zero.
        values.fold(0.0, |sum, value| sum + value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_that_of_all_series_of_the_name_and_of_no_longer_name() {
        let text = "# HELP x_total Some.\nx_total{a=\"1\"} 2\nx_total{a=\"2\"} 3\nx_total_more 9\ny 4\n";
        let numbers = Numbers(text.to_owned());
        let found = ["x_total", "y", "z"].map(|name| numbers.sum(name).to_bits());
        assert_eq!(found, [5.0_f64, 4.0, 0.0].map(f64::to_bits));
    }
}
