//! The dashboard in a real browser: it complains of nothing, everybody can use it, and it stays under the reader's hand.

use super::*;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use headwater_tests::browser::{Browser, Look, Script};
use serde_json::Value;

const DESK: Look = Look {
    width: 1280,
    height: 900,
    scheme: "light",
};
const NIGHT: Look = Look {
    scheme: "dark",
    ..DESK
};
const PHONE: Look = Look {
    width: 390,
    height: 844,
    scheme: "light",
};

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(name)
}

/// A browser. Where it must be there, as in CI, its absence is a failure.
#[expect(
    clippy::print_stdout,
    reason = "whoever runs the test is told that it is skipped"
)]
fn browser() -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        assert!(
            std::env::var_os("HEADWATER_NEEDS_BROWSER").is_none(),
            "there is no chromium"
        );
        println!("skipped: there is no chromium");
    }
    browser
}

/// Programs that report all the time.
struct Reporting(Option<(Sender<()>, JoinHandle<()>)>);

impl Reporting {
    fn start(server: &TestServer, programs: Vec<Program>) -> Self {
        let (stop, stopped) = channel();
        let (addr, mut programs) = (server.addr(), programs);
        let turn = move || {
            while stopped.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
                for program in &mut programs {
                    program.turn(addr);
                }
            }
        };
        Self(Some((stop, std::thread::spawn(turn))))
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            thread.join().ok();
        }
    }
}

/// What the rules of accessibility say of the page, the serious of it; nothing where they could not be had.
fn barriers(browser: &mut Browser, axe: Option<&str>) -> Value {
    let Some(axe) = axe else { return json!([]) };
    browser.run(&format!("if (!window.axe) {{ {axe} }}; true"));
    browser.run(
        "axe.run(document, {resultTypes: ['violations']}).then(all => all.violations \
         .filter(one => ['serious', 'critical'].includes(one.impact)) \
         .map(one => [one.id, one.help, one.nodes.slice(0, 4).map(node => node.html)]))",
    )
}

#[test]
fn every_page_is_silent_fits_and_can_be_used_by_everybody() {
    let Some(mut browser) = browser() else { return };
    let mut site = Site::new();
    let pages = site.pages();
    let _reporting = Reporting::start(&site.server, std::mem::take(&mut site.programs));
    let axe = std::fs::read_to_string(target("axe/package/axe.min.js")).ok();
    if axe.is_none() {
        println!("skipped: the rules of accessibility are not there; `.ci/axe` fetches them");
    }
    let pictures = target("screenshots");
    std::fs::create_dir_all(&pictures).unwrap();
    let mut wrong = Vec::new();
    for (look, kind) in [(DESK, "light"), (NIGHT, "dark"), (PHONE, "phone")] {
        browser.look(look);
        for (name, page) in &pages {
            browser.go(&format!("http://{}{page}", site.server.addr()));
            let follows = browser.run("document.querySelector('[hx-sse\\\\:connect]') != null");
            if follows == json!(true) {
                browser.until("document.documentElement.dataset.live === 'on'");
            }
            browser.picture(&pictures.join(format!("{name}-{kind}.png")));
            let wide =
                browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            let complaints = browser.complaints();
            // The address itself answers 404, and the browser says so.
            let complaints = complaints
                .iter()
                .filter(|text| !(*name == "problem" && text.contains("404")));
            wrong.extend(complaints.map(|text| format!("{name} ({kind}): {text}")));
            if wide != json!(0) {
                wrong.push(format!("{name} ({kind}) is {wide} too wide"));
            }
            if look.width > 600 || *name == "fleet" {
                let barriers = barriers(&mut browser, axe.as_deref());
                if barriers != json!([]) {
                    wrong.push(format!("{name} ({kind}): {barriers:#}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_page_follows_what_happens_and_takes_neither_the_focus_nor_what_is_typed() {
    let Some(mut browser) = browser() else { return };
    let mut site = Site::new();
    let _reporting = Reporting::start(&site.server, std::mem::take(&mut site.programs));
    browser.look(DESK);
    browser.go(&format!("http://{}/repos/default", site.server.addr()));
    browser.until("document.documentElement.dataset.live === 'on'");
    browser.run("document.querySelector('input[name=config]').value = 'half a wo'");
    browser.run("window.focused = document.querySelector('#row-i-1\\\\/app a'); focused.focus(); true");
    let newer = set(&site.origin, 6);
    browser.until(&format!("document.body.innerText.includes('{}')", newer.short()));
    assert_eq!(
        browser.run("document.activeElement === focused && focused.isConnected"),
        json!(true)
    );
    assert_eq!(
        browser.run("document.querySelector('input[name=config]').value"),
        json!("half a wo")
    );
    // What a reader has opened stays open.
    assert_eq!(
        browser.run("htmx.config.morphIgnore.join()"),
        json!("data-htmx-powered,open")
    );
    drop(site.server.ask_to_stop());
    browser.until("document.documentElement.dataset.live === 'off'");
    assert_eq!(
        browser.run("getComputedStyle(document.querySelector('.following .off')).display"),
        json!("inline")
    );
}

/// Goes to what a link of this text leads to.
fn click(browser: &mut Browser, text: &str) {
    browser.follow(&format!(
        "[...document.querySelectorAll('a')].find(a => a.textContent.trim() === '{text}').click()"
    ));
}

/// Gives the reason that the form asks for, and sends it.
fn confirm(browser: &mut Browser, reason: &str) {
    browser.run(&format!(
        "document.querySelector('input[name=reason]').value = '{reason}'"
    ));
    browser.follow("document.querySelector('form.confirm button').click()");
}

#[test]
fn what_people_do_is_a_click_and_a_reason_with_script_and_without() {
    let Some(mut browser) = browser() else { return };
    let mut site = Site::new();
    let rollout = format!("http://{}{}", site.server.addr(), site.rollout());
    let _reporting = Reporting::start(&site.server, std::mem::take(&mut site.programs));
    browser.look(DESK);
    browser.go(&rollout);
    for (order, reason) in [
        ("pause", "it looks odd"),
        ("resume", "it was nothing"),
        ("abort", "it was something"),
    ] {
        click(&mut browser, &format!("{order}…"));
        confirm(&mut browser, reason);
        browser.until(&format!("document.body.innerText.includes('{reason}')"));
    }
    let good = set(&site.origin, 3);
    site.server.until_head(&good, "published");
    browser.go(&format!(
        "http://{}/repos/default/commits/{}",
        site.server.addr(),
        site.first
    ));
    click(&mut browser, "go back to it…");
    confirm(&mut browser, "back to the beginning");
    browser.until("document.body.innerText.includes('back to the beginning')");
    let came = wait_for("the branch has it", || {
        site.origin.head("main").filter(|head| *head != good)
    });
    site.server.until_tip(&came);
    browser.set_script(Script::Off);
    browser.go(&format!(
        "http://{}/repos/default/instances?state=failed",
        site.server.addr()
    ));
    browser.set_script(Script::On);
    let rows = browser.run("document.querySelectorAll('tbody tr').length");
    assert_eq!(rows, json!(1));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
