//! Every message as it was first written. Old files stay for ever: what was readable once stays readable, and a field
//! that changes its name or form fails here.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "in a test, what must not fail may panic"
)]

use std::collections::BTreeSet;
use std::path::Path;

use headwater_wire::{
    AcceptRequest, BookmarkEvent, CheckView, CommitPage, ConfigList, DiffView, ExplainView, FleetView,
    GoawayEvent, HeadState, HoldList, HookAnswer, InstancePage, InstanceReport, InstanceView, OrderList,
    OrderWordRequest, PlanView, Problem, ProblemCode, PropagationView, ProposalView, ReleaseRequest,
    RepoView, ReportAnswer, RollbackList, RollbackPlanView, RollbackRequest, RollbackStage, RolloutList,
    RolloutOrder, RolloutOrderRequest, RolloutState, SnapshotBody, SocketDown, SocketUp, SourceState,
    StatusEvent, VersionEvent,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Reads a message and writes it again: nothing may be lost, renamed or added.
fn comes_back<T: Serialize + DeserializeOwned>(name: &str) {
    let written = golden(name);
    let message: T = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&message).unwrap(), written, "{name}");
}

/// Reads the same with a field from the future.
fn from_the_future<T: DeserializeOwned>(name: &str) -> Result<T, serde_json::Error> {
    let Value::Object(mut fields) = golden(name) else {
        panic!("{name} is no object")
    };
    fields.insert("from_the_future".to_owned(), Value::from(1));
    serde_json::from_value::<T>(Value::Object(fields))
}

macro_rules! messages {
    (
        told: $($name:literal: $type:ty),*;
        wished: $($wish:literal: $wish_type:ty),*;
    ) => {
        const NAMES: &[&str] = &[$(concat!($name, ".json"),)* $(concat!($wish, ".json")),*];

        #[test]
        fn every_message_comes_back_as_it_was_written() {
            $(comes_back::<$type>(concat!($name, ".json"));)*
            $(comes_back::<$wish_type>(concat!($wish, ".json"));)*
        }

        #[test]
        fn a_field_from_the_future_is_ignored() {
            $(from_the_future::<$type>(concat!($name, ".json")).unwrap();)*
        }

        #[test]
        fn a_wish_from_the_future_is_refused_and_not_passed_over() {
            $(assert!(from_the_future::<$wish_type>(concat!($wish, ".json")).is_err(), $wish);)*
        }
    };
}

messages! {
    told:
    "bookmark_event": BookmarkEvent,
    "check_view": CheckView,
    "commit_page": CommitPage,
    "config_list": ConfigList,
    "config_list_back_to": ConfigList,
    "diff_view": DiffView,
    "explain_view": ExplainView,
    "fleet_view": FleetView,
    "goaway_event": GoawayEvent,
    "hold_list": HoldList,
    "hold_list_of_a_rollback": HoldList,
    "hook_answer": HookAnswer,
    "instance_page": InstancePage,
    "instance_view": InstanceView,
    "instance_report": InstanceReport,
    "order_list": OrderList,
    "plan_view": PlanView,
    "problem": Problem,
    "problem_with_paths": Problem,
    "propagation_view": PropagationView,
    "proposal_view": ProposalView,
    "proposal_view_with_plan": ProposalView,
    "rollback_list": RollbackList,
    "rollback_list_as_of": RollbackList,
    "rollback_list_left_alone": RollbackList,
    "rollback_list_released": RollbackList,
    "rollback_plan_view": RollbackPlanView,
    "rollout_list": RolloutList,
    "repo_view": RepoView,
    "repo_view_deliveries": RepoView,
    "report_answer": ReportAnswer,
    "snapshot_body": SnapshotBody,
    "socket_down": SocketDown,
    "socket_up": SocketUp,
    "status_event": StatusEvent,
    "version_event": VersionEvent;
    wished:
    "accept_request": AcceptRequest,
    "accept_request_by": AcceptRequest,
    "order_word_request": OrderWordRequest,
    "release_request": ReleaseRequest,
    "release_request_by": ReleaseRequest,
    "rollback_request": RollbackRequest,
    "rollout_order_request": RolloutOrderRequest,
    "rollout_order_request_expecting": RolloutOrderRequest;
}

#[test]
fn every_golden_file_is_read_by_a_test() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files: BTreeSet<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, NAMES.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn a_word_from_the_future_becomes_other() {
    let read = |word: &str| Value::from(word);
    assert_eq!(
        serde_json::from_value::<HeadState>(read("dreaming")).unwrap(),
        HeadState::Other
    );
    assert_eq!(
        serde_json::from_value::<RollbackStage>(read("dreaming")).unwrap(),
        RollbackStage::Other
    );
    assert_eq!(
        serde_json::from_value::<RolloutState>(read("dreaming")).unwrap(),
        RolloutState::Other
    );
    assert_eq!(
        serde_json::from_value::<RolloutOrder>(read("dreaming")).unwrap(),
        RolloutOrder::Other
    );
    assert_eq!(
        serde_json::from_value::<SourceState>(read("dreaming")).unwrap(),
        SourceState::Other
    );
    assert_eq!(
        serde_json::from_value::<ProblemCode>(read("dreaming")).unwrap(),
        ProblemCode::Other
    );
}

#[test]
fn every_state_and_order_of_a_rollout_is_read_as_it_is_written() {
    for state in RolloutState::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), Value::from(state.as_str()));
        assert_eq!(RolloutState::read(state.as_str()), Some(*state));
    }
    for order in RolloutOrder::ALL {
        assert_eq!(serde_json::to_value(order).unwrap(), Value::from(order.as_str()));
        assert_eq!(RolloutOrder::read(order.as_str()), Some(*order));
    }
    assert_eq!(
        (RolloutState::read("other"), RolloutOrder::read("other")),
        (None, None)
    );
}
