//! Bounded queues between the stages of a run.
//!
//! A stage that is too slow must not make the picture late: a full queue gives up its oldest item (counted), so that what
//! is worked on is always recent. Where every frame matters (files), a full queue makes its producer wait instead.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// What a full queue does with one more item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Newest wins: the oldest item is handed back to the producer and counted as dropped.
    DropOldest,
    /// The producer waits for room.
    Wait,
}

/// Outcome of [`Lanes::push`].
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<T> {
    /// Queued.
    Queued,
    /// Queued in place of the oldest item, which is here.
    Replaced(T),
    /// The lane is closed; the item is here.
    Closed(T),
}

/// Outcome of [`Lanes::pop`].
#[derive(Debug, PartialEq, Eq)]
pub enum Popped<T> {
    /// The oldest item of the lane with that index.
    Item(usize, T),
    /// Nothing came in time.
    TimedOut,
    /// Every lane asked for is closed and empty: nothing will ever come.
    Closed,
}

/// What passed through a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LaneCount {
    /// Items offered, dropped ones included.
    pub pushed: u64,
    /// Items given up because newer ones came.
    pub dropped: u64,
    /// Most items that ever waited.
    pub deepest: usize,
}

struct Lane<T> {
    items: VecDeque<T>,
    closed: bool,
    count: LaneCount,
}

/// `N` bounded queues that one consumer can wait on together. (With several, an item may wake one that does not want it.)
pub struct Lanes<T, const N: usize> {
    state: Mutex<[Lane<T>; N]>,
    arrived: Condvar,
    room: Condvar,
    capacity: usize,
    when_full: WhenFull,
}

/// A single queue.
pub type Queue<T> = Lanes<T, 1>;

impl<T, const N: usize> Lanes<T, N> {
    /// Lanes of `capacity` items each (at least 1), allocated now.
    #[must_use]
    pub fn new(capacity: usize, when_full: WhenFull) -> Self {
        let capacity = capacity.max(1);
        let lane = |_| Lane { items: VecDeque::with_capacity(capacity), closed: false, count: LaneCount::default() };
        Self {
            state: Mutex::new(std::array::from_fn(lane)),
            arrived: Condvar::new(),
            room: Condvar::new(),
            capacity,
            when_full,
        }
    }

    /// Items that each lane holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The lock is never held while foreign code runs, so a poisoned state is still consistent.
    fn lock(&self) -> MutexGuard<'_, [Lane<T>; N]> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item to a lane; a lane that does not exist counts as closed.
    pub fn push(&self, lane: usize, item: T) -> Pushed<T> {
        let mut state = self.lock();
        loop {
            let Some(queue) = state.get_mut(lane).filter(|l| !l.closed) else { return Pushed::Closed(item) };
            let full = queue.items.len() >= self.capacity;
            if full && self.when_full == WhenFull::Wait {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let oldest = if full { queue.items.pop_front() } else { None };
            queue.items.push_back(item);
            queue.count.pushed += 1;
            queue.count.deepest = queue.count.deepest.max(queue.items.len());
            queue.count.dropped += u64::from(oldest.is_some());
            drop(state);
            self.arrived.notify_one();
            return oldest.map_or(Pushed::Queued, Pushed::Replaced);
        }
    }

    /// Takes the oldest item of the lanes with `wanted[lane]`, the lower lane first, waiting until `deadline` (for ever
    /// without one).
    pub fn pop(&self, wanted: [bool; N], deadline: Option<Instant>) -> Popped<T> {
        let mut state = self.lock();
        loop {
            let mut open = false;
            for (index, (lane, _)) in state.iter_mut().zip(wanted).enumerate().filter(|(_, (_, wanted))| *wanted) {
                if let Some(item) = lane.items.pop_front() {
                    drop(state);
                    self.room.notify_all();
                    return Popped::Item(index, item);
                }
                open |= !lane.closed;
            }
            if !open {
                return Popped::Closed;
            }
            state = match deadline {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left == Duration::ZERO {
                        return Popped::TimedOut;
                    }
                    self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Ends a lane: what waits can still be taken, nothing more can be added.
    pub fn close(&self, lane: usize) {
        if let Some(lane) = self.lock().get_mut(lane) {
            lane.closed = true;
        }
        self.arrived.notify_all();
        self.room.notify_all();
    }

    /// Ends every lane.
    pub fn close_all(&self) {
        (0..N).for_each(|lane| self.close(lane));
    }

    /// True when the lane accepts nothing more.
    #[must_use]
    pub fn is_closed(&self, lane: usize) -> bool {
        self.lock().get(lane).is_none_or(|l| l.closed)
    }

    /// True when the lane accepts nothing more and everything was taken.
    #[must_use]
    pub fn has_ended(&self, lane: usize) -> bool {
        self.lock().get(lane).is_none_or(|l| l.closed && l.items.is_empty())
    }

    /// What passed so far, lane by lane.
    #[must_use]
    pub fn counts(&self) -> [LaneCount; N] {
        let state = self.lock();
        std::array::from_fn(|i| state.get(i).map_or_else(LaneCount::default, |l| l.count))
    }
}

impl<T> Queue<T> {
    /// [`Lanes::pop`] of the only lane, without a deadline; `None` when it is closed and empty.
    pub fn next(&self) -> Option<T> {
        match self.pop([true], None) {
            Popped::Item(_, item) => Some(item),
            Popped::TimedOut | Popped::Closed => None,
        }
    }

    /// What passed so far.
    #[must_use]
    pub fn count(&self) -> LaneCount {
        let [count] = self.counts();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn newest_wins_and_every_drop_is_counted() {
        let queue = Queue::new(3, WhenFull::DropOldest);
        let back: Vec<_> = (0..10).map(|i| queue.push(0, i)).collect();
        assert_eq!(back[..3], [Pushed::Queued, Pushed::Queued, Pushed::Queued]);
        assert_eq!(back[3..], (0..7).map(Pushed::Replaced).collect::<Vec<_>>());
        assert_eq!(queue.count(), LaneCount { pushed: 10, dropped: 7, deepest: 3 });
        queue.close(0);
        assert_eq!(queue.push(0, 11), Pushed::Closed(11));
        assert_eq!(std::iter::from_fn(|| queue.next()).collect::<Vec<_>>(), [7, 8, 9]);
    }

    #[test]
    fn a_waiting_producer_loses_nothing() {
        let queue = Arc::new(Queue::new(2, WhenFull::Wait));
        let producer = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || {
                (0..500).for_each(|i| assert_eq!(queue.push(0, i), Pushed::Queued));
                queue.close(0);
            })
        };
        assert!(std::iter::from_fn(|| queue.next()).eq(0..500));
        producer.join().unwrap();
        assert_eq!((queue.count().dropped, queue.count().pushed), (0, 500));
        assert!(queue.count().deepest <= 2);
    }

    #[test]
    fn closing_frees_a_waiting_producer() {
        let queue = Arc::new(Queue::new(1, WhenFull::Wait));
        queue.push(0, 0);
        let producer = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || queue.push(0, 1))
        };
        queue.close(0);
        assert_eq!(producer.join().unwrap(), Pushed::Closed(1));
    }

    #[test]
    fn only_wanted_lanes_are_taken_and_only_they_can_end_the_wait() {
        let lanes: Lanes<u8, 2> = Lanes::new(2, WhenFull::DropOldest);
        lanes.push(0, 10);
        let soon = Some(Instant::now());
        assert_eq!(lanes.pop([false, true], soon), Popped::TimedOut);
        lanes.close(1);
        assert_eq!(lanes.pop([false, true], None), Popped::Closed);
        assert_eq!([lanes.has_ended(0), lanes.has_ended(1)], [false, true]);
        assert_eq!(lanes.pop([true, true], None), Popped::Item(0, 10));
        assert_eq!(lanes.pop([true, true], soon), Popped::TimedOut);
        assert_eq!(lanes.push(7, 1), Pushed::Closed(1));
    }
}
