//! What the watch tells, and how the watch is begun.

use headwater_wire::{ConfigName, ProblemCode};
use tokio::time::Instant;

use super::{Driver, REFUSED_PAUSE};
use crate::answer::Token;
use crate::engine::Event;
use crate::error::{ApiError, one_line};
use crate::fetch;
use crate::query::Inline;
use crate::watch::{Watch, WatchEvent, WatchRequest};

impl Driver {
    pub(super) fn begin_watch(&mut self) {
        let configs: Vec<ConfigName> = self.entries.keys().cloned().collect();
        self.watch = None;
        if configs.is_empty() {
            return;
        }
        let request = WatchRequest {
            configs,
            instance: self.place.instance.clone(),
            labels: self.place.labels.clone(),
            inline: Inline::Small,
            held: self.engine.named(),
            choice: self.place.transport,
            seed: self.place.seed,
        };
        self.watch = Some(Watch::start(self.place.servers.clone(), request));
    }

    /// What the watch tells.
    pub(super) fn heard(&mut self, event: Option<WatchEvent>) {
        match event {
            Some(WatchEvent::Connected(transport)) => {
                self.transport = Some(transport);
                self.error = None;
                self.event(Event::Connected);
            }
            Some(WatchEvent::Version(version)) => {
                let directive = (&*version).into();
                if let Some(document) = &version.document
                    && let Some(text) = fetch::verified(document, &version.digest)
                    && let Some(entry) = self.entries.get_mut(&version.config)
                {
                    entry.documents.insert(version.digest.clone(), text);
                }
                self.event(Event::Told(directive));
            }
            Some(WatchEvent::Bookmark(bookmark)) => {
                let token = Token::new(&bookmark.token);
                let config = bookmark.config;
                self.event(Event::Current { config, token });
            }
            Some(WatchEvent::Status(status)) => {
                for config in status.removed {
                    self.event(Event::Removed(config));
                }
            }
            Some(WatchEvent::Disconnected { error, .. }) => {
                self.transport = None;
                self.error = error.as_ref().map(one_line).or(self.error.take());
                match error {
                    Some(error) if error.is_turned_away() => self.each(Event::Denied),
                    // A server that answers, if only that it is not ready yet, is worth the patience of a start.
                    Some(error) if !error.is_refusal() => self.event(Event::Offline),
                    Some(_) | None => self.publish(),
                }
            }
            Some(WatchEvent::Refused(error)) => self.refused(&error),
            None => {
                self.watch = None;
            }
        }
    }

    /// The server knows the request and says no: the configs or the repository are not there, or not for us.
    pub(super) fn refused(&mut self, error: &ApiError) {
        self.transport = None;
        self.error = Some(one_line(error));
        self.watch = None;
        self.watch_at = Some(Instant::now() + REFUSED_PAUSE);
        match error.code() {
            Some(ProblemCode::ConfigNotFound) => self.each(Event::Removed),
            Some(_) => self.each(Event::Denied),
            // The request could not even be written.
            None => self.event(Event::Offline),
        }
    }

    /// Each open config hears of it.
    fn each(&mut self, event: impl Fn(ConfigName) -> Event) {
        for config in self.entries.keys().cloned().collect::<Vec<_>>() {
            self.event(event(config));
        }
    }
}
