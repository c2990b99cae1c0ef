//! The work that takes its time, on tasks and threads of its own, and what it brings back.

use std::sync::Arc;

use headwater_wire::{ConfigName, Digest, ValueSource};
use tokio::time::Instant;

use super::{Done, Driver, GATHER};
use crate::cache::{Cache, Restored};
use crate::engine::{Attempt, Event, SaveId, SavedState, Target};
use crate::fetch::{self, Wanted};

impl Driver {
    /// What a job brought back.
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Event(event) => self.event(event),
            Done::Opened(config, opened) => self.opened(config, opened),
            Done::Fetched { wanted, outcome } => {
                let Wanted {
                    config,
                    attempt,
                    target,
                    ..
                } = wanted;
                let outcome = outcome.map(|text| {
                    if let Some(entry) = self.entries.get_mut(&config) {
                        entry.documents.insert(target.digest, text);
                    }
                });
                self.event(Event::Fetched {
                    config,
                    attempt,
                    outcome,
                });
            }
            Done::Saved { config, id, trouble } => {
                if let Some(entry) = self.entries.get_mut(&config) {
                    // What was written whole makes up for what was found broken.
                    entry.trouble = trouble.into_iter().collect();
                }
                self.event(Event::Saved { config, id });
            }
            Done::Reported(Ok(answer)) => self.event(Event::Reported(answer)),
            Done::Reported(Err(error)) => self.event(Event::ReportFailed {
                retry_after: error.retry_after(),
            }),
        }
    }

    pub(super) fn opened(&mut self, config: ConfigName, opened: Option<(Cache, Restored)>) {
        let Some(entry) = self.entries.get_mut(&config) else {
            return;
        };
        let spare = entry.slot.spare();
        let mut saved = SavedState::default();
        if let Some((cache, restored)) = opened {
            entry.trouble = restored.trouble.iter().map(ToString::to_string).collect();
            entry.documents.extend(restored.documents);
            saved = restored.state;
            entry.cache = Some(Arc::new(cache));
        }
        // Sooner than a watch that waits because it was refused: what is asked for now may be there.
        let soon = Instant::now() + GATHER;
        self.watch_at = Some(self.watch_at.map_or(soon, |planned| planned.min(soon)));
        self.event(Event::Opened { config, saved, spare });
    }

    pub(super) fn fetch(&mut self, config: ConfigName, attempt: Attempt, target: Target) -> Option<Event> {
        let entry = self.entries.get(&config)?;
        if entry.documents.contains_key(&target.digest) {
            return Some(Event::Fetched {
                config,
                attempt,
                outcome: Ok(()),
            });
        }
        let wanted = Wanted {
            config,
            attempt,
            target,
            instance: self.place.instance.clone(),
            labels: self.place.labels.clone(),
        };
        let api = self.place.servers.current();
        self.jobs.spawn(async move {
            let outcome = fetch::document(&api, &wanted).await;
            Done::Fetched { wanted, outcome }
        });
        None
    }

    pub(super) fn prepare(
        &mut self,
        config: ConfigName,
        attempt: Attempt,
        target: Target,
        source: ValueSource,
    ) -> Option<Event> {
        let entry = self.entries.get(&config)?;
        let (slot, document) = (Arc::clone(&entry.slot), entry.document(&target.digest));
        self.jobs.spawn(async move {
            let outcome = match document {
                Ok(document) => slot.prepare(target, source, document).await,
                Err(fault) => Err(fault),
            };
            Done::Event(Event::Prepared {
                config,
                attempt,
                outcome,
            })
        });
        None
    }

    pub(super) fn activate(
        &mut self,
        config: ConfigName,
        attempt: Attempt,
        target: Target,
        source: ValueSource,
    ) -> Option<Event> {
        let entry = self.entries.get(&config)?;
        let (slot, document) = (Arc::clone(&entry.slot), entry.document(&target.digest));
        self.jobs.spawn(async move {
            let outcome = match document {
                Ok(document) => slot.activate(target, source, document).await,
                Err(fault) => Err(fault),
            };
            Done::Event(Event::Activated {
                config,
                attempt,
                outcome,
            })
        });
        None
    }

    pub(super) fn save(&mut self, config: ConfigName, id: SaveId, state: SavedState) -> Option<Event> {
        let entry = self.entries.get(&config)?;
        let Some(cache) = entry.cache.clone() else {
            return Some(Event::Saved { config, id });
        };
        let documents: Vec<(Digest, Arc<str>)> = state
            .digests()
            .filter_map(|digest| Some((digest.clone(), Arc::clone(entry.documents.get(digest)?))))
            .collect();
        self.blocking(move || {
            let documents: Vec<(&Digest, &str)> =
                documents.iter().map(|(digest, text)| (digest, &**text)).collect();
            let trouble = cache
                .save(&state, &documents)
                .err()
                .map(|error| error.to_string());
            Done::Saved { config, id, trouble }
        });
        None
    }

    pub(super) fn blocking(&mut self, work: impl FnOnce() -> Done + Send + 'static) {
        self.jobs.spawn_blocking(work);
    }
}
