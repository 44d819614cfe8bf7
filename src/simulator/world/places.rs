//! The gateway's five connections to IBKR, and the queue of the requests that wait for one.
//!
//! A request takes a place until IBKR has answered it. One that IBKR does not answer keeps its place, also after its
//! client has hung up. A request that finds no free place waits. The queue has no limit, is first in, first out, and is
//! not emptied when clients go: every waiting request is sent as soon as there is a place for it.

use std::collections::VecDeque;
use std::time::Duration;

/// How many connections to IBKR the gateway has. No setting changes it.
pub const PLACES: usize = 5;

/// One of the places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceId(usize);

/// The places and the queue, for requests of type `T`.
#[derive(Clone, Debug)]
pub struct Places<T> {
    places: [Place<T>; PLACES],
    queue: VecDeque<T>,
}

#[derive(Clone, Debug)]
enum Place<T> {
    /// Free from this time on: the answer is complete then.
    FreeAt(Duration),
    /// Taken by a request that was returned for sending and is neither answered nor kept yet.
    Open,
    /// Taken by this request for as long as IBKR does not answer it.
    Unanswered(T),
}

impl<T> Places<T> {
    /// Five free places, and an empty queue.
    #[must_use]
    pub fn new() -> Places<T> {
        Places { places: std::array::from_fn(|_| Place::FreeAt(Duration::ZERO)), queue: VecDeque::new() }
    }

    /// Takes a place for a request and returns it for sending, or queues it. What is returned reaches IBKR now; the
    /// caller says by [`Places::answer`] or [`Places::keep`] what becomes of it.
    pub fn request(&mut self, at: Duration, request: T) -> Option<(PlaceId, T)> {
        if self.queue.is_empty()
            && let Some(place) = self.take_free(at)
        {
            return Some((place, request));
        }
        self.queue.push_back(request);
        None
    }

    /// The time from which the first request of the queue can be sent. `None` when nothing waits, and when no place
    /// becomes free by itself.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        if self.queue.is_empty() {
            return None;
        }
        self.places.iter().filter_map(Place::free_at).min()
    }

    /// Takes the first request from the queue for sending, if there is a place for it at `at`.
    pub fn next_request(&mut self, at: Duration) -> Option<(PlaceId, T)> {
        if self.queue.is_empty() {
            return None;
        }
        let place = self.take_free(at)?;
        self.queue.pop_front().map(|request| (place, request))
    }

    /// The request in this place is answered, and the place free, at `at`.
    pub fn answer(&mut self, place: PlaceId, at: Duration) {
        self.places[place.0] = Place::FreeAt(at);
    }

    /// The request in this place gets no answer for the present. It keeps the place.
    pub fn keep(&mut self, place: PlaceId, request: T) {
        self.places[place.0] = Place::Unanswered(request);
    }

    /// IBKR answers late: returns the unanswered requests, which stay in their places until [`Places::answer`].
    pub fn take_unanswered(&mut self) -> Vec<(PlaceId, T)> {
        let mut taken = Vec::new();
        for (nth, place) in self.places.iter_mut().enumerate() {
            match std::mem::replace(place, Place::Open) {
                Place::Unanswered(request) => taken.push((PlaceId(nth), request)),
                other @ (Place::FreeAt(_) | Place::Open) => *place = other,
            }
        }
        taken
    }

    /// IBKR, or the network, closes the connections that wait for an answer. Their requests never get one.
    pub fn close(&mut self) {
        for place in &mut self.places {
            if matches!(place, Place::Unanswered(_)) {
                *place = Place::FreeAt(Duration::ZERO);
            }
        }
    }

    /// How many places are taken at `at`.
    #[must_use]
    pub fn taken(&self, at: Duration) -> usize {
        self.places.iter().filter(|place| place.free_at().is_none_or(|free| free > at)).count()
    }

    /// How many places are taken by requests that IBKR does not answer.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.places.iter().filter(|place| matches!(place, Place::Unanswered(_))).count()
    }

    /// The requests that IBKR does not answer, and those that wait for a place.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let unanswered = self.places.iter().filter_map(|place| match place {
            Place::Unanswered(request) => Some(request),
            Place::FreeAt(_) | Place::Open => None,
        });
        unanswered.chain(&self.queue)
    }

    /// How many requests wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn take_free(&mut self, at: Duration) -> Option<PlaceId> {
        let nth = self.places.iter().position(|place| place.free_at().is_some_and(|free| free <= at))?;
        self.places[nth] = Place::Open;
        Some(PlaceId(nth))
    }
}

impl<T> Default for Places<T> {
    fn default() -> Places<T> {
        Places::new()
    }
}

impl<T> Place<T> {
    fn free_at(&self) -> Option<Duration> {
        match self {
            Place::FreeAt(at) => Some(*at),
            Place::Open | Place::Unanswered(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Places of which `taken` are kept by requests without an answer.
    fn wedged(taken: u32) -> Places<u32> {
        let mut places = Places::new();
        for request in 0..taken {
            let (place, request) = places.request(s(0), request).unwrap();
            places.keep(place, request);
        }
        places
    }

    #[test]
    fn the_sixth_request_waits_and_goes_when_the_first_is_answered() {
        let mut places = Places::new();
        for request in 0..5_u64 {
            let (place, _) = places.request(s(0), request).unwrap();
            places.answer(place, s(10 + request));
        }
        assert_eq!(places.request(s(1), 5), None);
        assert_eq!((places.taken(s(1)), places.waiting(), places.next()), (5, 1, Some(s(10))));
        assert_eq!(places.next_request(s(9)), None);
        assert_eq!(places.next_request(s(10)).map(|(_, request)| request), Some(5));
        assert_eq!((places.taken(s(10)), places.waiting(), places.next()), (5, 0, None));
    }

    #[test]
    fn no_request_overtakes_the_queue() {
        let mut places = wedged(4);
        let (place, _) = places.request(s(0), 4).unwrap();
        places.answer(place, s(2));
        assert_eq!(places.request(s(1), 5), None);
        assert_eq!(places.request(s(3), 6), None, "a place is free, and 5 is first");
        assert_eq!(places.next_request(s(3)).map(|(_, request)| request), Some(5));
        assert_eq!(places.next_request(s(3)), None);
    }

    #[test]
    fn what_is_not_answered_keeps_its_place_until_it_is_closed() {
        let mut places = wedged(5);
        for request in 5..500 {
            assert_eq!(places.request(s(1), request), None);
        }
        assert_eq!((places.taken(s(1_000_000)), places.unanswered(), places.waiting()), (5, 5, 495));
        assert_eq!(places.next(), None);
        places.close();
        assert_eq!((places.taken(s(2)), places.unanswered(), places.waiting()), (0, 0, 495));
        let sent: Vec<u32> = std::iter::from_fn(|| places.next_request(s(2))).map(|(_, request)| request).collect();
        assert_eq!(sent, [5, 6, 7, 8, 9], "as many as there are places, in order");
    }

    #[test]
    fn what_is_answered_late_frees_its_place_when_it_is() {
        let mut places = wedged(5);
        assert_eq!(places.request(s(1), 5), None);
        let unanswered = places.take_unanswered();
        assert_eq!(unanswered.iter().map(|(_, request)| *request).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!((places.unanswered(), places.taken(s(2))), (0, 5));
        for (place, _) in unanswered {
            places.answer(place, s(3));
        }
        assert_eq!((places.next(), places.taken(s(3))), (Some(s(3)), 0));
    }

    #[test]
    fn closing_leaves_those_alone_that_are_being_answered() {
        let mut places = wedged(1);
        let (place, _) = places.request(s(0), 9).unwrap();
        places.answer(place, s(8));
        places.close();
        assert_eq!((places.taken(s(7)), places.taken(s(8))), (1, 0));
    }
}
