//! Numbered places, so that an index need not hold names.
//!
//! Invariant: a place that is free may be taken by anybody, so who frees one takes its number out of every index.

/// Number of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(usize);

/// What is in each place.
#[derive(Debug)]
pub(super) struct Places<T> {
    taken: Vec<Option<T>>,
    free: Vec<Place>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self {
            taken: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Places<T> {
    /// Puts `value` in a free place.
    pub(super) fn add(&mut self, value: T) -> Place {
        let place = self.free.pop().unwrap_or(Place(self.taken.len()));
        match self.taken.get_mut(place.0) {
            Some(slot) => *slot = Some(value),
            None => self.taken.push(Some(value)),
        }
        place
    }

    /// What is in a place.
    pub(super) fn get(&self, place: Place) -> Option<&T> {
        self.taken.get(place.0)?.as_ref()
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.taken.get_mut(place.0)?.as_mut()
    }

    /// Frees a place.
    pub(super) fn remove(&mut self, place: Place) -> Option<T> {
        let value = self.taken.get_mut(place.0)?.take()?;
        self.free.push(place);
        Some(value)
    }

    /// Everything, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.taken.iter().flatten()
    }
}
