//! Where traces are sent: `[telemetry]`, and the variables that every program of OpenTelemetry reads.
//!
//! Invariant: without an address there are no traces. The variables of OpenTelemetry win over the file, as its
//! specification says, and ours win over those; an empty one is none.

use super::forges::http_address;
use super::keys::{Key, put};
use super::source::{Mistake, Place};
use super::table::{Only, set_variables};

/// What a collector knows this service as.
const SERVICE_NAME: &str = "headwater";
/// Where a collector takes traces, below its address.
const TRACES_PATH: &str = "/v1/traces";

/// Where traces are sent, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// Address that takes them.
    pub endpoint: String,
    /// Name of this service there.
    pub service_name: String,
    /// Share of those that begin here, from 0 to 1.
    pub sample_ratio: f64,
}

/// The values while they are being collected.
#[derive(Debug, Clone, Default)]
pub(super) struct TelemetryDraft {
    endpoint: Option<String>,
    service_name: Option<String>,
    sample_ratio: Option<f64>,
    is_disabled: bool,
}

const TELEMETRY_KEYS: &[Key<TelemetryDraft>] = &[
    Key {
        name: "otlp_endpoint",
        help: "address of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; without it, no traces",
        default: "",
        set: |draft, text| put(&mut draft.endpoint, taken_below(text).map(Some)),
    },
    Key {
        name: "service_name",
        help: "what the collector knows this service as",
        default: SERVICE_NAME,
        set: |draft, text| put(&mut draft.service_name, Ok(Some(text.to_owned()))),
    },
    Key {
        name: "sample_ratio",
        help: "share of the traces that is sent, from 0 to 1; who calls with a trace of his own has decided it",
        default: "1",
        set: |draft, text| put(&mut draft.sample_ratio, ratio(text).map(Some)),
    },
];

/// Reads a text into the draft, or says what was expected.
type Set = fn(&mut TelemetryDraft, &str) -> Result<(), String>;

/// The variables of OpenTelemetry that say the same. Headers, deadline and attributes of the resource are read by its
/// library.
const STANDARD: &[(&str, Set)] = &[
    ("OTEL_EXPORTER_OTLP_ENDPOINT", |draft, text| {
        put(&mut draft.endpoint, taken_below(text).map(Some))
    }),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", |draft, text| {
        put(&mut draft.endpoint, http_address(text).map(Some))
    }),
    ("OTEL_SERVICE_NAME", |draft, text| {
        put(&mut draft.service_name, Ok(Some(text.to_owned())))
    }),
    ("OTEL_TRACES_SAMPLER_ARG", |draft, text| {
        put(&mut draft.sample_ratio, ratio(text).map(Some))
    }),
    ("OTEL_SDK_DISABLED", |draft, text| {
        draft.is_disabled = text.eq_ignore_ascii_case("true");
        Ok(())
    }),
];

/// Where a collector takes traces.
fn taken_below(address: &str) -> Result<String, String> {
    Ok(format!("{}{TRACES_PATH}", http_address(address)?))
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| format!("expected a number from 0 to 1, not `{text}`"))
}

impl Only for TelemetryDraft {
    const KEYS: &'static [Key<Self>] = TELEMETRY_KEYS;
    const VARIABLES: &'static str = "HEADWATER_TELEMETRY_";

    /// Reads the variables.
    fn read_variables<'a>(&mut self, find: impl Fn(&str) -> Option<&'a str>, mistakes: &mut Vec<Mistake>) {
        for (name, read) in STANDARD {
            if let Some(Err(expected)) = find(name)
                .filter(|text| !text.is_empty())
                .map(|text| read(self, text))
            {
                mistakes.push(Mistake::new(Place::Environment((*name).to_owned()), expected));
            }
        }
        set_variables(Self::KEYS, self, Self::variable, find, mistakes);
    }
}

impl TelemetryDraft {
    /// The values, if traces are wanted.
    pub(super) fn finish(self) -> Option<TraceSettings> {
        let endpoint = self.endpoint.filter(|_| !self.is_disabled)?;
        Some(TraceSettings {
            endpoint,
            service_name: self.service_name.unwrap_or_else(|| SERVICE_NAME.to_owned()),
            sample_ratio: self.sample_ratio.unwrap_or(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Flags, load};

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TraceSettings>, Vec<String>> {
        let flags = Flags {
            values: vec![("--repo", "url", "/srv/config.git".to_owned())],
            ..Flags::default()
        };
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let told = |mistakes: Vec<Mistake>| {
            let told = mistakes
                .iter()
                .map(|mistake| format!("{}: {}", mistake.place, mistake.message));
            told.collect()
        };
        load(&flags, &variables)
            .map(|settings| settings.telemetry)
            .map_err(told)
    }

    #[test]
    fn traces_are_sent_where_the_variables_of_opentelemetry_say() {
        assert_eq!(read(&[]), Ok(None));
        let named = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
            ("OTEL_SERVICE_NAME", "config"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ];
        let expected = TraceSettings {
            endpoint: "http://collector:4318/v1/traces".to_owned(),
            service_name: "config".to_owned(),
            sample_ratio: 0.25,
        };
        assert_eq!(read(&named), Ok(Some(expected)));
        let exact = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/in");
        let settings = read(&[named[0], exact]).unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://collector:4318/in");
        assert_eq!(
            (&*settings.service_name, settings.sample_ratio),
            ("headwater", 1.0)
        );
        assert_eq!(read(&[named[0], ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(None));
    }

    #[test]
    fn our_own_variables_win() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs:4318"),
            ("HEADWATER_TELEMETRY_OTLP_ENDPOINT", "http://ours:4318"),
        ]);
        assert_eq!(settings.unwrap().unwrap().endpoint, "http://ours:4318/v1/traces");
    }

    #[test]
    fn what_is_no_address_and_no_share_is_told() {
        let told = read(&[
            ("HEADWATER_TELEMETRY_OTLP_ENDPOINT", "collector"),
            ("HEADWATER_TELEMETRY_SAMPLE_RATIO", "2"),
            ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
        ]);
        insta::assert_debug_snapshot!(told.unwrap_err(), @r#"
        [
            "environment HEADWATER_TELEMETRY_OTLP_ENDPOINT: `otlp_endpoint`: expected an address such as `https://config.example.com`",
            "environment HEADWATER_TELEMETRY_SAMPLE_RATIO: `sample_ratio`: expected a number from 0 to 1, not `2`",
            "environment OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1, not `NaN`",
        ]
        "#);
    }
}
