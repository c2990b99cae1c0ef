//! Parser of Server-Sent Events (WHATWG HTML, "Server-sent events"), incremental on bytes.
//!
//! Invariant: how the bytes were cut into pieces does not change what comes out, and memory stays within
//! [`EVENT_BYTES_MAX`]. What is deliberately absent: knowledge of what the events mean, and any input or output.

use std::mem;
use std::time::Duration;

/// Longest line and longest event, in bytes: a 256 KiB document in JSON, escaped at worst fourfold.
pub(crate) const EVENT_BYTES_MAX: usize = 1 << 20;

/// What a stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Message(Message),
    /// How long to wait before the next connect (`retry:`).
    Retry(Duration),
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Last id the stream named, in this event or before; what a reconnect sends as `Last-Event-ID`.
    pub id: String,
    /// Type; `message` where the stream named none.
    pub event: String,
    /// Lines of data, joined by line feeds.
    pub data: String,
}

/// Why a stream cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {EVENT_BYTES_MAX} bytes")]
pub struct SseError;

/// State between two pieces of a stream.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    /// The last byte was a CR, so that an LF now belongs to it.
    after_cr: bool,
    /// The first line, which may begin with a byte order mark, is over.
    started: bool,
    id: String,
    event: String,
    data: String,
}

impl Parser {
    /// Reads one piece and appends what it completes to `items`.
    pub fn push(&mut self, bytes: &[u8], items: &mut Vec<Item>) -> Result<(), SseError> {
        for &byte in bytes {
            let after_cr = mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    let line = mem::take(&mut self.line);
                    self.end_line(&line, items)?;
                    // The buffer's capacity is kept for the next line.
                    self.line = line;
                    self.line.clear();
                }
                _ if self.line.len() < EVENT_BYTES_MAX => self.line.push(byte),
                _ => return Err(SseError),
            }
        }
        Ok(())
    }

    fn end_line(&mut self, line: &[u8], items: &mut Vec<Item>) -> Result<(), SseError> {
        let first = !mem::replace(&mut self.started, true);
        let line = if first {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            items.extend(self.dispatch());
            return Ok(());
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        self.field(field, value.strip_prefix(' ').unwrap_or(value), items)
    }

    fn field(&mut self, field: &str, value: &str, items: &mut Vec<Item>) -> Result<(), SseError> {
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" if self.data.len() + value.len() >= EVENT_BYTES_MAX => return Err(SseError),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                items.extend(
                    value
                        .parse()
                        .ok()
                        .map(|ms| Item::Retry(Duration::from_millis(ms))),
                );
            }
            // A comment has the empty name; unknown names are for later versions.
            _ => {}
        }
        Ok(())
    }

    /// The event that a blank line ends; none if it had no data, as the standard says.
    fn dispatch(&mut self) -> Option<Item> {
        let mut data = mem::take(&mut self.data);
        let event = mem::take(&mut self.event);
        data.pop()?;
        let event = if event.is_empty() {
            "message".to_owned()
        } else {
            event
        };
        Some(Item::Message(Message {
            id: self.id.clone(),
            event,
            data,
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Item>, SseError> {
        let mut parser = Parser::default();
        let mut items = Vec::new();
        for piece in pieces {
            parser.push(piece, &mut items)?;
        }
        Ok(items)
    }

    fn message(id: &str, event: &str, data: &str) -> Item {
        Item::Message(Message {
            id: id.into(),
            event: event.into(),
            data: data.into(),
        })
    }

    #[test]
    fn the_examples_of_the_standard_read_as_it_says() {
        let text =
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        assert_eq!(
            parse([&text[..]]).unwrap(),
            [
                message("1", "message", "first event"),
                message("", "message", "second event"),
                message("", "message", " third event")
            ]
        );
        let text = b"data\n\ndata\ndata\n\ndata:";
        assert_eq!(
            parse([&text[..]]).unwrap(),
            [message("", "message", ""), message("", "message", "\n")]
        );
    }

    #[test]
    fn line_ends_may_be_mixed_and_a_byte_order_mark_is_dropped() {
        let text = b"\xef\xbb\xbfevent: a\r\ndata: 1\rdata: 2\n\r\ndata: 3\r\r\n";
        assert_eq!(
            parse([&text[..]]).unwrap(),
            [message("", "a", "1\n2"), message("", "message", "3")]
        );
    }

    #[test]
    fn an_id_with_a_nul_is_ignored_and_an_id_outlives_its_event() {
        let text = b"id: a\ndata: 1\n\nid: b\0c\ndata: 2\n\nid: d\n\ndata: 3\n\n";
        assert_eq!(
            parse([&text[..]]).unwrap(),
            [
                message("a", "message", "1"),
                message("a", "message", "2"),
                message("d", "message", "3")
            ]
        );
    }

    #[test]
    fn only_a_number_is_a_retry() {
        let text = b"retry: 1500\nretry: 1s\nretry:\nretry: -1\nretry: 99999999999999999999999\n";
        assert_eq!(
            parse([&text[..]]).unwrap(),
            [Item::Retry(Duration::from_millis(1_500))]
        );
    }

    #[test]
    fn an_event_that_is_cut_off_is_not_told() {
        assert_eq!(
            parse([&b"data: 1\n\nevent: version\ndata: half"[..]]).unwrap(),
            [message("", "message", "1")]
        );
    }

    #[test]
    fn a_line_or_an_event_without_end_is_an_error_and_not_memory() {
        assert_eq!(parse([&vec![b'x'; EVENT_BYTES_MAX + 1][..]]), Err(SseError));
        let line = [b"data: ".as_slice(), &[b'y'; 1_000], b"\n"].concat();
        assert_eq!(parse(std::iter::repeat_n(&line[..], 1_100)), Err(SseError));
    }

    /// Bytes in which everything that means something to the parser is frequent.
    fn stream_bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"data".to_vec()),
            Just(b"event".to_vec()),
            Just(b"id".to_vec()),
            Just(b"retry".to_vec()),
            Just(b":".to_vec()),
            Just(b": ".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\xef\xbb\xbf".to_vec()),
            Just(b"\0".to_vec()),
            Just("ü".as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_cut_into_pieces_gives_the_same_items(bytes in stream_bytes(), size in 1_usize..9) {
            prop_assert_eq!(parse([&bytes[..]]), parse(bytes.chunks(size)));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert!(parse([&bytes[..]]).is_ok());
        }

        #[test]
        fn what_is_written_is_read(
            events in proptest::collection::vec(("[a-z]{1,8}", "[^\0\r\n]{0,9}", proptest::collection::vec("[^\r\n]{0,9}", 1..4)), 0..6),
            end in prop_oneof![Just("\n"), Just("\r"), Just("\r\n")],
        ) {
            let written = events.iter().map(|(event, id, lines)| {
                let data: String = lines.iter().flat_map(|line| ["data: ", line, end]).collect();
                format!("event: {event}{end}id: {id}{end}{data}:{end}{end}")
            });
            let text: String = written.collect();
            let expected: Vec<Item> = events.iter().map(|(event, id, lines)| message(id, event, &lines.join("\n"))).collect();
            prop_assert_eq!(parse([text.as_bytes()]).unwrap(), expected);
        }
    }
}
