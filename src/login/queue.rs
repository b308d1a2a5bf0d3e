//! The queue for Argon2id hashes: bounded, and fair between lanes and between addresses.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::types::Subnet;

/// Hashes computed at once: each takes a core and 19 MiB.
const AT_ONCE: usize = 2;
/// Requests that may wait in a lane, and those of one address among them.
const MOST_WAITING: usize = 2048;
const MOST_WAITING_OF_ADDRESS: usize = 1024;
/// The longest wait in the queue.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Who waits for a hash. Each lane with waiting requests gets its turn: none can starve another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Names that logged in from the same address lately.
    Known,
    /// Names that exist.
    First,
    /// Passwords that are set by somebody who is logged in.
    Set,
}

/// The lane is full, or the wait was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    /// How many requests waited in the lane.
    pub(super) waiting: usize,
}

/// Grants turns to compute a hash.
#[derive(Debug, Clone)]
pub(super) struct HashQueue {
    state: Arc<Mutex<State>>,
    longest_wait: Duration,
}

#[derive(Debug)]
struct State {
    free: usize,
    next: usize,
    lanes: [Waiting; 3],
}

/// The requests of a lane, by address in the order of their next turn.
#[derive(Debug, Default)]
struct Waiting {
    count: usize,
    addresses: VecDeque<(Subnet, VecDeque<oneshot::Sender<Turn>>)>,
}

/// The turn to compute one hash; dropping it grants the next.
#[derive(Debug)]
pub(super) struct Turn {
    queue: HashQueue,
    is_taken: bool,
}

impl Default for HashQueue {
    fn default() -> Self {
        Self::new(AT_ONCE, LONGEST_WAIT)
    }
}

impl HashQueue {
    fn new(at_once: usize, longest_wait: Duration) -> Self {
        let state = State { free: at_once, next: 0, lanes: Default::default() };
        Self { state: Arc::new(Mutex::new(state)), longest_wait }
    }

    /// Waits for a turn in `lane`, [`LONGEST_WAIT`] at most.
    pub(super) async fn turn(&self, lane: Lane, from: Subnet) -> Result<Turn, Full> {
        let waiting = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn { queue: self.clone(), is_taken: true });
            }
            state.lanes[lane as usize].push(from)?
        };
        match tokio::time::timeout(self.longest_wait, waiting).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Full { waiting: self.state().lanes[lane as usize].count }),
        }
    }

    /// Whether the lane takes no more requests of this address.
    pub(super) fn is_full(&self, lane: Lane, from: Subnet) -> bool {
        self.state().lanes[lane as usize].is_full(from)
    }

    /// Gives a turn to whoever is next and still waits.
    fn hand_on(&self) {
        loop {
            let next = {
                let mut state = self.state();
                let Some(next) = state.pop() else {
                    state.free += 1;
                    return;
                };
                next
            };
            match next.send(Turn { queue: self.clone(), is_taken: true }) {
                Ok(()) => return,
                // The request was given up: the turn goes to the next one, without recursion.
                Err(mut turn) => turn.is_taken = false,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next request: of the next lane that has one, of its next address.
    fn pop(&mut self) -> Option<oneshot::Sender<Turn>> {
        let lanes = self.lanes.len();
        let lane = (self.next..self.next + lanes).map(|it| it % lanes);
        let lane = lane.into_iter().find(|it| self.lanes[*it].count > 0)?;
        self.next = lane + 1;
        self.lanes[lane].pop()
    }
}

impl Waiting {
    fn is_full(&self, from: Subnet) -> bool {
        let own = self.addresses.iter().find(|(address, _)| *address == from);
        self.count >= MOST_WAITING
            || own.is_some_and(|(_, requests)| requests.len() >= MOST_WAITING_OF_ADDRESS)
    }

    fn push(&mut self, from: Subnet) -> Result<oneshot::Receiver<Turn>, Full> {
        if self.is_full(from) {
            return Err(Full { waiting: self.count });
        }
        let (sender, receiver) = oneshot::channel();
        match self.addresses.iter_mut().find(|(address, _)| *address == from) {
            Some((_, requests)) => requests.push_back(sender),
            None => self.addresses.push_back((from, VecDeque::from([sender]))),
        }
        self.count += 1;
        Ok(receiver)
    }

    fn pop(&mut self) -> Option<oneshot::Sender<Turn>> {
        let (address, mut requests) = self.addresses.pop_front()?;
        let next = requests.pop_front();
        if !requests.is_empty() {
            self.addresses.push_back((address, requests));
        }
        self.count -= usize::from(next.is_some());
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_taken {
            self.queue.hand_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    fn subnet(last: u8) -> Subnet {
        Subnet::of([10, 0, 0, last].into())
    }

    /// Waits until `count` requests are in the lane.
    async fn queued(queue: &HashQueue, lane: Lane, count: usize) {
        while queue.state().lanes[lane as usize].count < count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn flood_of_one_address_delays_others_by_its_own_share_alone() {
        let queue = HashQueue::new(1, LONGEST_WAIT);
        let granted = Arc::new(Mutex::new(Vec::new()));
        let held = queue.turn(Lane::First, subnet(1)).await.unwrap();
        let request = |label: &'static str, lane, last| {
            let (queue, granted) = (queue.clone(), Arc::clone(&granted));
            tokio::spawn(async move {
                let _turn = queue.turn(lane, subnet(last)).await.unwrap();
                granted.lock().unwrap().push(label);
            })
        };
        let mut all: Vec<_> = (0..100).map(|_| request("flood", Lane::First, 1)).collect();
        queued(&queue, Lane::First, 100).await;
        all.push(request("other address", Lane::First, 2));
        all.push(request("known name", Lane::Known, 1));
        queued(&queue, Lane::First, 101).await;
        queued(&queue, Lane::Known, 1).await;
        drop(held);
        join_all(all).await;
        let granted = granted.lock().unwrap();
        for label in ["other address", "known name"] {
            let place = granted.iter().position(|it| *it == label).unwrap();
            assert!(place < 4, "{label} had place {place}");
        }
        assert_eq!((granted.len(), queue.state().free), (102, 1));
    }

    #[tokio::test]
    async fn lane_refuses_what_it_cannot_hold_and_what_waited_too_long() {
        let queue = HashQueue::new(1, Duration::from_millis(200));
        let _held = queue.turn(Lane::First, subnet(1)).await.unwrap();
        let requests = (0..MOST_WAITING_OF_ADDRESS).map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.turn(Lane::First, subnet(1)).await })
        });
        let requests: Vec<_> = requests.collect();
        queued(&queue, Lane::First, MOST_WAITING_OF_ADDRESS).await;
        assert!(queue.is_full(Lane::First, subnet(1)));
        assert!(queue.turn(Lane::First, subnet(1)).await.is_err());
        assert!(!queue.is_full(Lane::First, subnet(2)));
        for request in join_all(requests).await {
            assert!(request.unwrap().is_err());
        }
    }

    #[tokio::test]
    async fn turn_of_a_request_that_was_given_up_goes_to_the_next() {
        let queue = HashQueue::new(1, LONGEST_WAIT);
        let held = queue.turn(Lane::First, subnet(1)).await.unwrap();
        let request = || {
            let queue = queue.clone();
            tokio::spawn(async move { queue.turn(Lane::First, subnet(1)).await.is_ok() })
        };
        let given_up: Vec<_> = (0..900).map(|_| request()).collect();
        queued(&queue, Lane::First, 900).await;
        let last = request();
        queued(&queue, Lane::First, 901).await;
        for task in &given_up {
            task.abort();
        }
        join_all(given_up).await;
        drop(held);
        assert!(last.await.unwrap());
        assert_eq!(queue.state().free, 1);
    }
}
