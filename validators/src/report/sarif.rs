//! Findings as a SARIF 2.1.0 log, which forges and editors take from any analyser.
//!
//! Invariant: columns count characters, as they do in a finding; a result keeps its fingerprint when lines move above
//! it. What is deliberately absent: the sources, which whoever reads the log has.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use headwater_wire::{Finding, Severity, Span};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::catalogue::{self, Explanation};
use crate::printable::printable;

/// The schema of the format, which editors look for.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// Name and version of how a fingerprint is made; another way gets another number.
const FINGERPRINT: &str = "headwaterFinding/v1";

/// The log of one run, indented.
pub fn log(findings: &[Finding]) -> String {
    let mut codes: Vec<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    let mut seen = BTreeMap::new();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| result(finding, &codes, &mut seen))
        .collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Headwater",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

/// Text of a message. A viewer takes `[text](target)` for a link, which a value must not become.
fn plain(text: &str) -> String {
    printable(text).replace("](", "] (")
}

/// A code, with what the table says of it.
fn rule(code: &str) -> Value {
    let Some(Explanation {
        severity,
        meaning,
        reason,
        remedy,
        ..
    }) = catalogue::find(code)
    else {
        return json!({"id": printable(code)});
    };
    json!({
        "id": printable(code),
        "shortDescription": {"text": meaning},
        "fullDescription": {"text": format!("{meaning} {reason}")},
        "help": {"text": remedy},
        "defaultConfiguration": {"level": level(*severity)},
    })
}

fn result(finding: &Finding, codes: &[&str], seen: &mut BTreeMap<String, u32>) -> Value {
    let mut text = plain(&finding.message);
    if let Some(hint) = &finding.hint {
        let _infallible = write!(text, "\nhelp: {}", plain(hint));
    }
    let mut location = finding
        .file()
        .map_or_else(|| json!({}), |path| location(path, finding.span));
    let names = logical(finding);
    if !names.is_empty() {
        location["logicalLocations"] = Value::Array(names);
    }
    let is_somewhere = location.as_object().is_some_and(|parts| !parts.is_empty());
    let mut result = json!({
        "ruleId": printable(&finding.code),
        "ruleIndex": codes.binary_search(&finding.code.as_str()).unwrap_or_default(),
        "level": level(finding.severity),
        "message": {"text": text},
        "locations": if is_somewhere { vec![location] } else { Vec::new() },
        "partialFingerprints": {FINGERPRINT: fingerprint(finding, seen)},
    });
    if !finding.related.is_empty() {
        result["relatedLocations"] = (1..)
            .zip(&finding.related)
            .map(|(id, related)| {
                let mut location = self::location(&related.path, related.span);
                location["id"] = json!(id);
                location["message"] = json!({"text": plain(&related.note)});
                location
            })
            .collect();
    }
    result
}

fn location(path: &str, span: Span) -> Value {
    json!({"physicalLocation": {
        "artifactLocation": {"uri": uri(path), "uriBaseId": "%SRCROOT%"},
        "region": {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        },
    }})
}

/// The config and the pointer, which are places too, though of no file.
fn logical(finding: &Finding) -> Vec<Value> {
    let config = finding
        .config
        .as_ref()
        .map(|config| json!({"fullyQualifiedName": printable(config.as_str()), "kind": "module"}));
    let pointer = finding
        .pointer
        .as_deref()
        .filter(|pointer| !pointer.is_empty())
        .map(|pointer| json!({"fullyQualifiedName": printable(pointer), "kind": "member"}));
    config.into_iter().chain(pointer).collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info | Severity::Other => "note",
    }
}

/// A hash of what a finding is about, without its lines. Where there is no pointer, what is said tells two apart; and
/// where that is the same too, their order does.
fn fingerprint(finding: &Finding, seen: &mut BTreeMap<String, u32>) -> String {
    let config = finding.config.as_ref().map_or("", |config| config.as_str());
    let about = finding.pointer.as_deref().unwrap_or(&finding.message);
    let mut hash = Sha256::new();
    for part in [finding.code.as_str(), &finding.path, config, about] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut text = String::new();
    for byte in hash.finalize().iter().take(16) {
        let _infallible = write!(text, "{byte:02x}");
    }
    let count = seen
        .entry(text.clone())
        .and_modify(|count| *count += 1)
        .or_insert(1);
    let _infallible = write!(text, ":{count}");
    text
}

/// A relative reference: the slashes of a path, and of everything else what a URI holds as it is.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _infallible = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, span};
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a whole log")]
    fn a_finding_is_a_result_of_the_rule_that_the_table_explains() {
        insta::assert_snapshot!(log(&samples::findings()), @r#"
        {
          "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
          "runs": [
            {
              "columnKind": "unicodeCodePoints",
              "results": [
                {
                  "level": "note",
                  "locations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "headwater.toml",
                          "uriBaseId": "%SRCROOT%"
                        },
                        "region": {
                          "endColumn": 1,
                          "endLine": 1,
                          "startColumn": 1,
                          "startLine": 1
                        }
                      }
                    }
                  ],
                  "message": {
                    "text": "findings that are not shown: `7`"
                  },
                  "partialFingerprints": {
                    "headwaterFinding/v1": "1395be6c65c595122dee28f7d5ca15ea:1"
                  },
                  "ruleId": "limit/findings",
                  "ruleIndex": 0
                },
                {
                  "level": "error",
                  "locations": [
                    {
                      "logicalLocations": [
                        {
                          "fullyQualifiedName": "web",
                          "kind": "module"
                        },
                        {
                          "fullyQualifiedName": "/port",
                          "kind": "member"
                        }
                      ],
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "services/web.toml",
                          "uriBaseId": "%SRCROOT%"
                        },
                        "region": {
                          "endColumn": 12,
                          "endLine": 2,
                          "startColumn": 8,
                          "startLine": 2
                        }
                      }
                    }
                  ],
                  "message": {
                    "text": "expected an integer, found a string: `80`\nhelp: remove the quotes"
                  },
                  "partialFingerprints": {
                    "headwaterFinding/v1": "6bb3318c11014d35c337e054115819cf:1"
                  },
                  "relatedLocations": [
                    {
                      "id": 1,
                      "message": {
                        "text": "overrides this value"
                      },
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "services/base.toml",
                          "uriBaseId": "%SRCROOT%"
                        },
                        "region": {
                          "endColumn": 10,
                          "endLine": 1,
                          "startColumn": 8,
                          "startLine": 1
                        }
                      }
                    }
                  ],
                  "ruleId": "schema/type",
                  "ruleIndex": 2
                },
                {
                  "level": "warning",
                  "locations": [
                    {
                      "logicalLocations": [
                        {
                          "fullyQualifiedName": "/pool",
                          "kind": "member"
                        }
                      ],
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "services/web.toml",
                          "uriBaseId": "%SRCROOT%"
                        },
                        "region": {
                          "endColumn": 2,
                          "endLine": 9,
                          "startColumn": 1,
                          "startLine": 4
                        }
                      }
                    }
                  ],
                  "message": {
                    "text": "100 % of it"
                  },
                  "partialFingerprints": {
                    "headwaterFinding/v1": "9a79fd440107b7012d97718a9fc6548c:1"
                  },
                  "ruleId": "merge/type-change",
                  "ruleIndex": 1
                }
              ],
              "tool": {
                "driver": {
                  "name": "Headwater",
                  "rules": [
                    {
                      "defaultConfiguration": {
                        "level": "note"
                      },
                      "fullDescription": {
                        "text": "There are more findings than are shown; the message says how many. A mistake in a layer that everything shares is found in every config, and a list of thousands hides what matters. Errors are kept before warnings."
                      },
                      "help": {
                        "text": "Correct what is shown and check again, or raise `limits.findings` in the manifest."
                      },
                      "id": "limit/findings",
                      "shortDescription": {
                        "text": "There are more findings than are shown; the message says how many."
                      }
                    },
                    {
                      "defaultConfiguration": {
                        "level": "warning"
                      },
                      "fullDescription": {
                        "text": "A layer puts an object in the place of another kind of value, or the other way round. Objects merge and everything else replaces, so all keys that lower layers set there are gone."
                      },
                      "help": {
                        "text": "Give the key the same kind of value in all layers; to replace a whole object on purpose, delete the key with `null` in a layer between."
                      },
                      "id": "merge/type-change",
                      "shortDescription": {
                        "text": "A layer puts an object in the place of another kind of value, or the other way round."
                      }
                    },
                    {
                      "defaultConfiguration": {
                        "level": "error"
                      },
                      "fullDescription": {
                        "text": "A value is of another kind than the schema demands. Most programs fail on a value of the wrong kind, and some take it for something else."
                      },
                      "help": {
                        "text": "Write the kind that the finding names; numbers and booleans stand without quotes."
                      },
                      "id": "schema/type",
                      "shortDescription": {
                        "text": "A value is of another kind than the schema demands."
                      }
                    }
                  ],
                  "semanticVersion": "0.1.0"
                }
              }
            }
          ],
          "version": "2.1.0"
        }
        "#);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a whole log")]
    fn no_content_leaves_its_place() {
        let log = log(&[samples::hostile()]);
        insta::assert_snapshot!(log, @r#"
        {
          "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
          "runs": [
            {
              "columnKind": "unicodeCodePoints",
              "results": [
                {
                  "level": "error",
                  "locations": [
                    {
                      "logicalLocations": [
                        {
                          "fullyQualifiedName": "a\\r\\n::error::b ]]> <c> & \"d\" \\u{1b}[31m \\u{202e}e \\u{0} 100%, f: g",
                          "kind": "member"
                        }
                      ],
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "a%20b/%C3%BC%2C%3A%25%1B%E2%80%AE%0A%3A%3Aerror%3A%3A.toml",
                          "uriBaseId": "%SRCROOT%"
                        },
                        "region": {
                          "endColumn": 1,
                          "endLine": 1,
                          "startColumn": 1,
                          "startLine": 1
                        }
                      }
                    }
                  ],
                  "message": {
                    "text": "a\\r\\n::error::b ]]> <c> & \"d\" \\u{1b}[31m \\u{202e}e \\u{0} 100%, f: g\nhelp: a\\r\\n::error::b ]]> <c> & \"d\" \\u{1b}[31m \\u{202e}e \\u{0} 100%, f: g"
                  },
                  "partialFingerprints": {
                    "headwaterFinding/v1": "e8e3316124363c64ed89f3973f1ba686:1"
                  },
                  "relatedLocations": [
                    {
                      "id": 1,
                      "message": {
                        "text": "a\\r\\n::error::b ]]> <c> & \"d\" \\u{1b}[31m \\u{202e}e \\u{0} 100%, f: g"
                      },
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "a%20b/%C3%BC%2C%3A%25%1B%E2%80%AE%0A%3A%3Aerror%3A%3A.toml",
                          "uriBaseId": "%SRCROOT%"
                        },
                        "region": {
                          "endColumn": 2,
                          "endLine": 2,
                          "startColumn": 1,
                          "startLine": 2
                        }
                      }
                    }
                  ],
                  "ruleId": "rule/x]]>",
                  "ruleIndex": 0
                }
              ],
              "tool": {
                "driver": {
                  "name": "Headwater",
                  "rules": [
                    {
                      "defaultConfiguration": {
                        "level": "error"
                      },
                      "fullDescription": {
                        "text": "A rule of the manifest, named behind the slash, does not hold. Rules say what a schema cannot: how far a value may move in one step, or what must be true of several configs together. Who wrote the rule knows what breaks without it."
                      },
                      "help": {
                        "text": "Read the rule in the manifest: its `message` and `hint` are what the finding says. Change the value, or talk to the owners of the rule."
                      },
                      "id": "rule/x]]>",
                      "shortDescription": {
                        "text": "A rule of the manifest, named behind the slash, does not hold."
                      }
                    }
                  ],
                  "semanticVersion": "0.1.0"
                }
              }
            }
          ],
          "version": "2.1.0"
        }
        "#);
        assert!(!log.contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn a_value_cannot_be_a_link() {
        let finding = Finding::new(
            "a/b",
            Severity::Error,
            ("a.toml", Span::START),
            "no: `[x](https://example.test)`",
        );
        let log: Value = serde_json::from_str(&log(&[finding])).unwrap();
        assert_eq!(
            log.pointer("/runs/0/results/0/message/text"),
            Some(&json!("no: `[x] (https://example.test)`"))
        );
    }

    #[test]
    fn nothing_found_is_a_run_without_results() {
        let log: Value = serde_json::from_str(&log(&[])).unwrap();
        assert_eq!(log.pointer("/runs/0/results"), Some(&json!([])));
    }

    #[test]
    fn a_fingerprint_stays_when_lines_move_and_tells_equal_findings_apart() {
        let at = |line| {
            Finding::new(
                "schema/type",
                Severity::Error,
                ("a.toml", span(line, 1, line, 2)),
                "m",
            )
            .pointer("/port")
        };
        let prints = |findings: &[Finding]| {
            let mut seen = BTreeMap::new();
            findings
                .iter()
                .map(|finding| fingerprint(finding, &mut seen))
                .collect::<Vec<_>>()
        };
        assert_eq!(prints(&[at(1)]), prints(&[at(9)]));
        let twice = prints(&[at(1), at(2)]);
        assert_ne!(twice[0], twice[1]);
        assert_ne!(prints(&[at(1).pointer("/host")]), prints(&[at(1)]));
    }

    #[test]
    fn what_is_about_no_file_has_no_place() {
        let log: Value = serde_json::from_str(&log(&[samples::of_all()])).unwrap();
        assert_eq!(log.pointer("/runs/0/results/0/locations"), Some(&json!([])));
    }
}
