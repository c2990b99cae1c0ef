//! A watch over several addresses.

use headwater_client::{RepoApi, Servers, Watch};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::events::{HEAD, version};
use crate::server::{A, B, Step, client, scripted, send};
use crate::watch::{first_lines, problem, request, snapshot, words};

/// An address where nobody listens.
async fn dead() -> RepoApi {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    client(&format!("http://{address}"))
}

#[tokio::test(start_paused = true)]
async fn a_dead_address_is_left_for_the_next_one_without_backing_off() {
    let (alive, _requests) = scripted(vec![vec![send(HEAD), send(version("t1", A)), Step::Hang]]).await;
    let servers = Servers::new(dead().await, [dead().await, alive.clone()]);
    let mut watch = Watch::start(servers.clone(), request());
    let started = Instant::now();
    assert_eq!(
        words(&mut watch, 4).await,
        ["broken", "broken", "stream", "version t1"]
    );
    assert!(started.elapsed().as_millis() < 500, "{:?}", started.elapsed());
    assert_eq!(servers.current().server(), alive.server());
    assert_eq!(watch.link().server, alive.server());
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lags_is_left_and_takes_the_client_nowhere() {
    let (lagging, mut asked) = scripted(vec![
        vec![send(HEAD), send(version("t2", B))],
        vec![problem(503, "replica_behind")],
    ])
    .await;
    let (other, _requests) = scripted(vec![vec![snapshot("t3", A)], vec![send(HEAD), Step::Hang]]).await;
    let mut watch = Watch::start(Servers::new(lagging, [other]), request());
    let told = words(&mut watch, 6).await;
    assert_eq!(
        told,
        ["stream", "version t2", "ended", "broken", "version t3", "stream"]
    );
    assert_eq!(first_lines(&mut asked)[1], "configs/a if-none-match: \"t2\"");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_shuts_down_sends_its_clients_to_the_next_one_and_one_that_is_old_does_not() {
    let goaway = |reason| {
        let data = format!("{{\"reason\":\"{reason}\",\"retry_after_ms\":3000}}");
        vec![
            send(HEAD),
            send(format!("event: goaway\ndata: {data}\n\n")),
            Step::Hang,
        ]
    };
    let (first, _) = scripted(vec![goaway("age"), goaway("shutdown"), vec![Step::Hang]]).await;
    let (second, _requests) = scripted(vec![vec![send(HEAD), send(version("t1", A)), Step::Hang]]).await;
    let mut watch = Watch::start(Servers::new(first, [second]), request());
    assert_eq!(words(&mut watch, 4).await, ["stream", "ended", "stream", "ended"]);
    let started = Instant::now();
    assert_eq!(words(&mut watch, 2).await, ["stream", "version t1"]);
    assert!(started.elapsed().as_millis() < 250, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_address_that_falls_silent_is_left_after_40_s() {
    let (silent, _) = scripted(vec![vec![send(HEAD), send(version("t1", A)), Step::Hang]]).await;
    let (other, _requests) = scripted(vec![vec![snapshot("t2", B)], vec![send(HEAD), Step::Hang]]).await;
    let mut watch = Watch::start(Servers::new(silent, [other]), request());
    assert_eq!(words(&mut watch, 2).await, ["stream", "version t1"]);
    let started = Instant::now();
    assert_eq!(words(&mut watch, 3).await, ["broken", "version t2", "stream"]);
    assert!(
        (40_000..40_500).contains(&started.elapsed().as_millis()),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn where_all_addresses_are_dead_each_round_waits_longer() {
    let mut watch = Watch::start(Servers::new(dead().await, [dead().await]), request());
    let started = Instant::now();
    assert_eq!(words(&mut watch, 40).await, ["broken"; 40]);
    // Twenty rounds, most of them with a ceiling of a minute; without the rule, half as many would wait so long.
    assert!(started.elapsed().as_secs() > 120, "{:?}", started.elapsed());
}
