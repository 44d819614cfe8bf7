//! The gateway's five connections to IBKR, and the queue of the requests that wait for one.
//!
//! A request takes a place until IBKR has answered it. One that IBKR does not answer keeps its place, also after its
//! client has hung up. A request that finds no free place waits. The queue has no limit, is first in, first out, and is
//! not emptied when clients go: every waiting request is sent as soon as there is a place for it.
//!
//! A real gateway took 8.4 s for fifteen requests at once of 2 s each: four rounds of 2.1 s, where five places alone would
//! take three rounds of 2 s. Here the last free place is not used beside requests that are being answered, until the first
//! of those is; and a slow answer frees its place late (`TURNAROUND`). Quick answers do not: on the real gateway 30 waiting
//! requests reached IBKR within 73 ms.

use std::collections::VecDeque;
use std::time::Duration;

/// How many connections to IBKR the gateway has. No setting changes it.
pub const PLACES: usize = 5;
/// How long the place of a slow answer stays taken after it.
const TURNAROUND: Duration = Duration::from_millis(160);
/// From when on an answer is slow.
const SLOW: Duration = Duration::from_secs(1);

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
            && !self.withhold_last(at)
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

    /// The request in this place is answered `after` it was sent, at `at`.
    pub fn answer(&mut self, place: PlaceId, at: Duration, after: Duration) {
        let turnaround = if after < SLOW { Duration::ZERO } else { TURNAROUND };
        self.places[place.0] = Place::FreeAt(at + after + turnaround);
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

    /// Whether only one place is free beside requests that are being answered. It is then usable from the first answer on.
    fn withhold_last(&mut self, at: Duration) -> bool {
        let is_free = |place: &Place<T>| place.free_at().is_some_and(|free| free <= at);
        let first_answer = self.places.iter().filter_map(Place::free_at).filter(|free| *free > at).min();
        let Some(first_answer) = first_answer.filter(|_| self.places.iter().filter(|p| is_free(p)).count() == 1) else {
            return false;
        };
        for place in self.places.iter_mut().filter(|place| is_free(place)) {
            *place = Place::FreeAt(first_answer);
        }
        true
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

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
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

    /// Sends everything that has a place, each with an answer after `after`; returns when the last answer comes.
    fn send_all(places: &mut Places<u32>, after: Duration) -> Duration {
        let mut last = Duration::ZERO;
        while let Some(at) = places.next() {
            while let Some((place, _)) = places.next_request(at) {
                places.answer(place, at, after);
                last = at + after;
            }
        }
        last
    }

    #[test]
    fn fifteen_requests_at_once_of_two_seconds_take_8_4_seconds() {
        let mut places = Places::new();
        for request in 0..15 {
            if let Some((place, _)) = places.request(s(0), request) {
                places.answer(place, s(0), s(2));
            }
        }
        assert_eq!((places.taken(s(0)), places.waiting()), (5, 11), "the last place is withheld");
        let last = send_all(&mut places, s(2));
        assert!(last >= ms(8_400) && last < ms(8_500), "{last:?}");
    }

    #[test]
    fn a_request_beside_four_slow_ones_waits_for_the_first_answer_and_then_all_five_places_are_used() {
        let mut places = Places::new();
        for request in 0..4_u64 {
            let (place, _) = places.request(s(0), request).unwrap();
            places.answer(place, s(0), s(10 + request));
        }
        assert_eq!((places.request(s(1), 4), places.request(s(1), 5)), (None, None));
        let first = s(10) + TURNAROUND;
        assert_eq!((places.next(), places.next_request(s(10))), (Some(first), None));
        assert_eq!(places.next_request(first).map(|(_, request)| request), Some(4));
        assert_eq!(places.next_request(first).map(|(_, request)| request), Some(5));
    }

    #[test]
    fn quick_answers_free_their_places_at_once() {
        let mut places = wedged(5);
        for request in 5..35 {
            assert_eq!(places.request(s(1), request), None);
        }
        places.close();
        assert_eq!(send_all(&mut places, ms(12)), ms(72), "30 waiting requests within 73 ms");
    }

    #[test]
    fn no_request_overtakes_the_queue() {
        let mut places = wedged(4);
        let (place, _) = places.request(s(0), 4).unwrap();
        places.answer(place, s(0), s(2));
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
            places.answer(place, s(2), ms(20));
        }
        assert_eq!((places.next(), places.taken(s(3))), (Some(ms(2_020)), 0));
    }

    #[test]
    fn closing_leaves_those_alone_that_are_being_answered() {
        let mut places = wedged(1);
        let (place, _) = places.request(s(0), 9).unwrap();
        places.answer(place, s(0), s(8));
        places.close();
        assert_eq!((places.taken(s(8)), places.taken(s(9))), (1, 0));
    }
}
