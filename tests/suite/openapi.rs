//! The description of the API: it knows every address, every message, and what a running service answers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use headwater_tests::http::Ask;
use serde_json::{Map, Value, json};

use crate::watch::served;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace")
        .to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

/// The document, in which every object has the fields that it names and no others: what is told and not described is a
/// mistake here, although a client must ignore it.
fn strict() -> Value {
    let mut document: Value = serde_json::from_str(&read("server/src/http/openapi.json")).expect("JSON");
    let schemas = document["components"]["schemas"]
        .as_object_mut()
        .expect("schemas");
    for schema in schemas.values_mut() {
        if schema.get("properties").is_some() {
            schema["additionalProperties"] = json!(false);
        }
    }
    document
}

/// What is wrong with a value by a schema of the document.
fn mistakes(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut whole = document.clone();
    let whole_schema = whole.as_object_mut().expect("an object");
    whole_schema.extend(schema.as_object().expect("a schema").clone());
    let validator = jsonschema::draft202012::new(&whole).expect("a schema");
    validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// Method and address of everything in the table of routes.
fn routes() -> BTreeSet<(String, String)> {
    let routes = routes_in("server/src/http/mod.rs").into_iter();
    routes
        .map(|(method, address)| (method, address.replace("{*", "{")))
        .collect()
}

/// Method and address of every route that a file of the service makes.
pub(super) fn routes_in(file: &str) -> BTreeSet<(String, String)> {
    let source = read(file);
    let mut routes = BTreeSet::new();
    for route in source.split(".route(").skip(1) {
        let address = route.split('"').nth(1).expect("an address").to_owned();
        for method in ["get", "post", "put", "delete"] {
            let is_word = |(at, _): (usize, &str)| {
                let before = route.get(..at).unwrap_or_default();
                !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
            };
            if route.match_indices(&format!("{method}(")).any(is_word) {
                routes.insert((method.to_owned(), address.clone()));
            }
        }
    }
    routes
}

fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods");
        methods
            .iter()
            .map(move |(method, operation)| (method, path, operation))
    })
}

#[test]
fn every_address_of_the_api_is_described_and_no_other() {
    let document = strict();
    let described: BTreeSet<_> = operations(&document)
        .map(|(method, path, _)| (method.clone(), path.clone()))
        .collect();
    // The pages for people are not for tools.
    let pages = [
        "/",
        "/login",
        "/login/{issuer}",
        "/login/{issuer}/callback",
        "/logout",
    ];
    let known = routes()
        .into_iter()
        .filter(|(_, path)| !pages.contains(&path.as_str()));
    let known: BTreeSet<_> = known.collect();
    assert!(known.len() > 30, "{known:?}");
    assert_eq!(described, known);
    let ids: BTreeSet<_> = operations(&document)
        .map(|(_, _, operation)| operation["operationId"].as_str().expect("an id"))
        .collect();
    assert_eq!(ids.len(), described.len(), "ids are given once");
}

#[test]
fn every_message_of_the_wire_is_described() {
    let document = strict();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let mut checked = 0;
    for file in std::fs::read_dir(root().join("wire/tests/golden"))
        .expect("messages")
        .flatten()
    {
        let name = file.file_name().into_string().expect("a name");
        // `hold_list_of_a_rollback` is a `HoldList`.
        let schema = schemas.keys().filter(|schema| name.starts_with(&snake(schema)));
        let schema = schema.max_by_key(|schema| schema.len());
        let schema = schema.unwrap_or_else(|| panic!("no schema for {name}"));
        let message = serde_json::from_slice(&std::fs::read(file.path()).expect("a file")).expect("JSON");
        let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
        assert_eq!(mistakes(&document, &schema, &message), [""; 0], "{name}");
        checked += 1;
    }
    assert!(checked > 30, "{checked}");
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[test]
fn a_running_service_answers_as_it_is_described() {
    let (_origin, server, tip) = served();
    let document = strict();
    let told = server.get("/openapi.json").expect(200);
    assert_eq!(told.must("content-type"), "application/json");
    assert_eq!(told.text(), read("server/src/http/openapi.json"));
    let report = json!({"incarnation": 1, "seq": 1, "labels": {"region": "eu"}, "client": "test/1",
        "configs": {"app": {"state": "pending"}}});
    let ask = Ask::new("PUT", "/v1/repos/default/instances/i-1");
    let ask = ask.body("application/json", report.to_string().as_bytes());
    let answer = server.ask(&ask).expect(200).json();
    answers_as(
        "put",
        "/v1/repos/{repo}/instances/{instance}",
        (200, &answer),
        &document,
    );
    for (path, query) in [
        ("/readyz", String::new()),
        ("/v1/repos", String::new()),
        ("/v1/repos/{repo}", String::new()),
        ("/v1/repos/{repo}/configs", String::new()),
        ("/v1/repos/{repo}/configs/{config}", String::new()),
        ("/v1/repos/{repo}/fleet", String::new()),
        (
            "/v1/repos/{repo}/propagation",
            format!("?config=app&version={tip}"),
        ),
        ("/v1/repos/{repo}/instances", String::new()),
        ("/v1/repos/{repo}/instances/{instance}", String::new()),
        ("/v1/repos/{repo}/commits", String::new()),
        ("/v1/repos/{repo}/commits/{rev}", String::new()),
        (
            "/v1/repos/{repo}/commits/{commit}/configs/{config}",
            String::new(),
        ),
        ("/v1/repos/{repo}/diff", "?from=HEAD&to=HEAD".to_owned()),
        ("/v1/repos/{repo}/explain/{config}", String::new()),
        ("/v1/repos/{repo}/holds", String::new()),
        ("/v1/repos/{repo}/rollbacks", String::new()),
        ("/v1/repos/{repo}/plan", "?rev=HEAD".to_owned()),
        ("/v1/repos/{repo}/rollouts", String::new()),
        ("/v1/repos/{repo}/rollouts/{id}", String::new()),
        ("/v1/repos/{repo}/proposals/{commit}", String::new()),
    ] {
        let address = path
            .replace("{repo}", "default")
            .replace("{config}", "app")
            .replace("{instance}", "i-1")
            .replace("{rev}", "HEAD")
            .replace("{id}", "none")
            .replace("{commit}", tip.as_str());
        let reply = server.get(&format!("{address}{query}"));
        answers_as("get", path, (reply.status, &reply.json()), &document);
    }
}

/// An answer is of the form that its operation has for its status, or for all others.
#[track_caller]
fn answers_as(method: &str, path: &str, (status, body): (u16, &Value), document: &Value) {
    let responses = &document["paths"][path][method]["responses"];
    let response = responses.get(status.to_string()).unwrap_or(&responses["default"]);
    let schema = match response.get("$ref") {
        Some(_) => json!({"$ref": "#/components/schemas/Problem"}),
        None => response["content"]["application/json"]["schema"].clone(),
    };
    assert_ne!(schema.as_object().map(Map::len), None, "{method} {path} {status}");
    assert_eq!(
        mistakes(document, &schema, body),
        [""; 0],
        "{method} {path} {status}: {body}"
    );
}
