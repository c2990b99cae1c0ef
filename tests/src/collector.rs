//! A collector of traces: it takes OTLP over HTTP and keeps every span.
//!
//! Invariant: one request a connection; what cannot be decoded is a failed test. What is deliberately absent: any answer
//! but yes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// A span, with its ids in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSpan {
    /// What did it: `service.name`.
    pub service: String,
    /// Its trace.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The span that it is a part of; empty if it begins a trace.
    pub parent: String,
    /// What was done.
    pub name: String,
    /// Attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// Traces that it is linked with.
    pub links: Vec<String>,
    /// Whether it failed.
    pub failed: bool,
}

/// The collector. It ends with the process.
#[derive(Debug, Clone)]
pub struct Collector {
    addr: SocketAddr,
    spans: Arc<Mutex<Vec<SeenSpan>>>,
}

impl Collector {
    /// Starts it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let collector = Self {
            addr: listener.local_addr().expect("an address"),
            spans: Arc::default(),
        };
        let taking = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                taking.take(stream);
            }
        });
        collector
    }

    /// Where it takes traces.
    pub fn url(&self) -> String {
        format!("http://{}/v1/traces", self.addr)
    }

    /// Everything that came so far.
    pub fn spans(&self) -> Vec<SeenSpan> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, mut stream: TcpStream) {
        let Some(body) = read(&stream) else { return };
        let request = ExportTraceServiceRequest::decode(&*body).expect("a request of OTLP");
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in request.resource_spans {
            let about = attributes(&resource.resource.unwrap_or_default().attributes);
            let service = about.get("service.name").cloned().unwrap_or_default();
            let all = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.extend(all.map(|span| seen(&service, span)));
        }
        drop(spans);
        let yes = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        // Whoever sent it may be gone.
        stream.write_all(yes.as_bytes()).ok();
    }
}

fn read(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn seen(service: &str, span: &Span) -> SeenSpan {
    SeenSpan {
        service: service.to_owned(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
        attributes: attributes(&span.attributes),
        links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
        failed: span.status.as_ref().is_some_and(|status| status.code == 2),
    }
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    all.iter()
        .map(|pair| (pair.key.clone(), text(pair.value.as_ref())))
        .collect()
}

fn text(value: Option<&AnyValue>) -> String {
    let value = value.and_then(|value| value.value.as_ref());
    if let Some(Value::StringValue(text)) = value {
        return text.clone();
    }
    if let Some(Value::IntValue(number)) = value {
        return number.to_string();
    }
    format!("{value:?}")
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}").expect("a string takes text");
    }
    hex
}
