//! The table of open connections: how many there are, for whom, and which one has to end.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{
    ListenerLimits,
    activity::{Activity, Phase},
    deadline::{Deadlines, Overdue},
    memory::ResponseMemory,
    network::PeerNetwork,
};

/// How long an evicted connection may take to give its place away.
const EVICTION_WAIT: Duration = Duration::from_secs(1);

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Not yet.
    None,
    /// After the requests in progress.
    Graceful,
    /// At once, by a reset.
    Reset,
}

/// All connections of one listener.
///
/// The places are shared fairly: when all are taken, a newcomer takes the place of the connection that has been silent
/// the longest, among those of the network that has the most. A network never loses a connection to one that has more.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    limits: ListenerLimits,
    /// One permit for each connection; it is given back once the connection's descriptor is closed.
    places: Arc<Semaphore>,
    entries: Mutex<Entries>,
    dropped: Dropped,
    memory: Arc<ResponseMemory>,
}

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    by_id: HashMap<u64, Entry>,
    /// How many connections each network has.
    load: HashMap<PeerNetwork, usize>,
}

#[derive(Debug)]
struct Entry {
    network: PeerNetwork,
    activity: Arc<Activity>,
    deadlines: Deadlines,
    ending: watch::Sender<Ending>,
    /// How long the connection has been asked to end.
    ending_for: Duration,
}

/// Connections that were closed or refused since the last line about them in the log.
#[derive(Debug, Default)]
struct Dropped {
    evicted: AtomicU64,
    refused: AtomicU64,
    without_request: AtomicU64,
    too_slow: AtomicU64,
}

/// A place in the table, until this is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    table: Arc<ConnectionTable>,
    pub(super) activity: Arc<Activity>,
    ending: watch::Receiver<Ending>,
    _place: OwnedSemaphorePermit,
}

impl ConnectionTable {
    pub(super) fn new(limits: ListenerLimits) -> Self {
        // More permits than a semaphore has would be no bound anyway.
        let places = limits.connections.clamp(1, Semaphore::MAX_PERMITS.min(1 << 24));
        Self {
            limits: ListenerLimits { connections: places, ..limits },
            places: Arc::new(Semaphore::new(places)),
            entries: Mutex::default(),
            dropped: Dropped::default(),
            memory: Arc::new(ResponseMemory::new(limits.response_memory)),
        }
    }

    /// Gives a connection from `network` a place; `None` if it has to be refused.
    pub(super) async fn admit(self: &Arc<Self>, network: PeerNetwork) -> Option<Connection> {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) if self.evict_for(Some(network)) => {
                let place = Arc::clone(&self.places).acquire_owned();
                tokio::time::timeout(EVICTION_WAIT, place).await.ok().and_then(Result::ok)
            }
            Err(_) => None,
        };
        let Some(place) = place else {
            self.dropped.refused.fetch_add(1, Relaxed);
            return None;
        };
        let activity = Arc::new(Activity::new(Arc::clone(&self.memory)));
        let (ending, receiver) = watch::channel(Ending::None);
        let entry = Entry {
            network,
            activity: Arc::clone(&activity),
            deadlines: Deadlines::default(),
            ending,
            ending_for: Duration::ZERO,
        };
        let id = self.entries().insert(entry);
        Some(Connection { id, table: Arc::clone(self), activity, ending: receiver, _place: place })
    }

    /// Ends one connection to make room for a newcomer from `network`, or for a file where that is `None`.
    /// Returns whether there was one that may end for it.
    pub(super) fn evict_for(&self, network: Option<PeerNetwork>) -> bool {
        let entries = self.entries();
        let Some(victim) = entries.victim(network) else { return false };
        victim.end(Ending::Reset);
        self.dropped.evicted.fetch_add(1, Relaxed);
        true
    }

    /// Asks all connections to end.
    pub(super) fn end_all(&self, ending: Ending) {
        self.entries().by_id.values().for_each(|entry| entry.end(ending));
    }

    /// Returns once no connection is open.
    pub(super) async fn closed(&self) {
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        let _ = self.places.acquire_many(all).await;
    }

    /// Compares all connections with the limits, until the listener ends.
    pub(super) async fn sweep(self: Arc<Self>) {
        let mut turn = tokio::time::interval(self.limits.sweep_interval());
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut last, mut last_log) = (Instant::now(), None::<Instant>);
        loop {
            tokio::select! {
                _ = turn.tick() => {}
                () = self.memory.exceeded() => {
                    self.end_most_burdensome();
                    continue;
                }
            }
            let elapsed = last.elapsed();
            last = Instant::now();
            self.end_overdue(elapsed);
            if last_log.is_none_or(|it| it.elapsed() >= self.limits.log_interval) && self.log() {
                last_log = Some(last);
            }
        }
    }

    fn end_overdue(&self, elapsed: Duration) {
        for entry in self.entries().by_id.values_mut() {
            if *entry.ending.borrow() != Ending::None {
                entry.ending_for += elapsed;
                if entry.ending_for > self.limits.shutdown_grace {
                    entry.end(Ending::Reset);
                }
                continue;
            }
            let sample = entry.activity.sample();
            match entry.deadlines.advance(sample, elapsed, &self.limits) {
                None => {}
                Some(Overdue::Idle) => entry.end(Ending::Graceful),
                Some(Overdue::FirstRequest) => {
                    self.dropped.without_request.fetch_add(1, Relaxed);
                    entry.end(Ending::Reset);
                }
                Some(Overdue::TooSlow) => {
                    self.dropped.too_slow.fetch_add(1, Relaxed);
                    entry.end(Ending::Reset);
                }
            }
        }
    }

    /// Ends the connections whose responses hold the most for the longest time, until no more is held than may be.
    fn end_most_burdensome(&self) {
        let entries = self.entries();
        let holders = entries.by_id.values().map(|it| (it.activity.burden(), it));
        let (ending, mut holders): (Vec<_>, Vec<_>) =
            holders.partition(|(_, it)| *it.ending.borrow() == Ending::Reset);
        // What those hold that were asked to end is about to be free.
        let ending: u64 = ending.iter().map(|((_, held), _)| held).sum();
        let mut excess = self.memory.excess().saturating_sub(ending);
        holders.sort_unstable_by_key(|((burden, _), _)| Reverse(*burden));
        for ((_, held), entry) in holders {
            if excess == 0 {
                break;
            }
            entry.end(Ending::Reset);
            self.dropped.too_slow.fetch_add(1, Relaxed);
            excess = excess.saturating_sub(held);
        }
    }

    /// Logs what was dropped since the last time; returns whether anything was.
    fn log(&self) -> bool {
        let take = |count: &AtomicU64| count.swap(0, Relaxed);
        let (evicted, refused) = (take(&self.dropped.evicted), take(&self.dropped.refused));
        let (without_request, too_slow) =
            (take(&self.dropped.without_request), take(&self.dropped.too_slow));
        if evicted + refused > 0 {
            let limit = self.limits.connections;
            tracing::warn!(
                event = "connection.limit_reached",
                limit,
                evicted,
                refused,
                without_request,
                too_slow,
                "all connections that the descriptor limit or --max-connections allows were in use"
            );
        } else if without_request + too_slow > 0 {
            tracing::info!(
                event = "connection.overdue",
                without_request,
                too_slow,
                "connections were closed that were silent or too slow"
            );
        }
        evicted + refused + without_request + too_slow > 0
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn insert(&mut self, entry: Entry) -> u64 {
        let id = self.next;
        self.next += 1;
        *self.load.entry(entry.network).or_default() += 1;
        self.by_id.insert(id, entry);
        id
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.by_id.remove(&id) else { return };
        if let Some(load) = self.load.get_mut(&entry.network) {
            *load -= 1;
            if *load == 0 {
                self.load.remove(&entry.network);
            }
        }
    }

    /// The connection that a newcomer from `network` may replace.
    fn victim(&self, network: Option<PeerNetwork>) -> Option<&Entry> {
        let load = |network| self.load.get(&network).copied().unwrap_or_default();
        let newcomer = network.map_or(0, load);
        let candidates = self.by_id.values().filter_map(|entry| {
            let (load, works) =
                (load(entry.network), entry.activity.sample().phase == Phase::Working);
            let may_end = if works { load > newcomer + 1 } else { load >= newcomer };
            let is_ending = *entry.ending.borrow() == Ending::Reset;
            (may_end && !is_ending).then_some((!works, load, entry))
        });
        let victim = candidates
            .max_by_key(|(is_silent, load, entry)| (*is_silent, *load, entry.activity.silence()));
        victim.map(|(.., entry)| entry)
    }
}

impl Entry {
    fn end(&self, ending: Ending) {
        if ending == Ending::Reset {
            self.activity.reset_at_end();
        }
        self.ending.send_replace(ending);
    }
}

impl Connection {
    /// Returns how the connection is to end, each time that this changes.
    pub(super) async fn ending(&mut self) -> Ending {
        match self.ending.changed().await {
            Ok(()) => *self.ending.borrow_and_update(),
            Err(_) => Ending::Reset,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.table.entries().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::listener::{activity::OpenRequest, memory::HeldBytes};

    fn network(last: u8) -> PeerNetwork {
        IpAddr::from([192, 0, 2, last]).into()
    }

    fn table(connections: usize) -> Arc<ConnectionTable> {
        Arc::new(ConnectionTable::new(ListenerLimits { connections, ..ListenerLimits::default() }))
    }

    /// Admits a connection that ends as soon as it is asked to; gives whether it was.
    async fn admitted(table: &Arc<ConnectionTable>, last: u8) -> tokio::task::JoinHandle<Ending> {
        let mut connection = table.admit(network(last)).await.unwrap();
        tokio::spawn(async move { connection.ending().await })
    }

    #[tokio::test]
    async fn newcomer_replaces_longest_silent_connection_of_the_network_with_most() {
        let table = table(4);
        let light = admitted(&table, 1).await;
        let mut heavy = Vec::new();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            heavy.push(admitted(&table, 2).await);
        }
        let _third = admitted(&table, 3).await;
        assert_eq!(heavy.remove(0).await.unwrap(), Ending::Reset);
        assert!(heavy.iter().all(|it| !it.is_finished()) && !light.is_finished());
        // One that has many replaces its own.
        let _own = admitted(&table, 2).await;
        assert_eq!(heavy.remove(0).await.unwrap(), Ending::Reset);
        assert!(!light.is_finished());
    }

    #[tokio::test]
    async fn connections_in_work_end_only_for_a_network_that_has_fewer() {
        let table = table(3);
        let (mut endings, mut requests) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let mut connection = table.admit(network(1)).await.unwrap();
            requests.push(OpenRequest::begin(&connection.activity));
            endings.push(tokio::spawn(async move { connection.ending().await }));
        }
        assert!(table.admit(network(1)).await.is_none());
        assert!(table.admit(network(2)).await.is_some());
        tokio::task::yield_now().await;
        // Which of them it is depends on a millisecond.
        assert_eq!(endings.iter().filter(|it| it.is_finished()).count(), 1);
        assert_eq!(table.dropped.refused.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn connections_whose_responses_hold_the_most_end_until_the_rest_fits() {
        let limits = ListenerLimits { response_memory: 100, ..ListenerLimits::default() };
        let table = Arc::new(ConnectionTable::new(limits));
        let heavy = table.admit(network(1)).await.unwrap();
        let light = table.admit(network(1)).await.unwrap();
        let mut held = [&heavy, &light].map(|it| HeldBytes::new(&it.activity));
        held[0].set(90);
        table.end_most_burdensome();
        assert_eq!(*heavy.ending.borrow(), Ending::None);
        held[1].set(40);
        // What ends is about to be free, so that the second time ends no more.
        for _ in 0..2 {
            table.end_most_burdensome();
            let endings = (*heavy.ending.borrow(), *light.ending.borrow());
            assert_eq!(endings, (Ending::Reset, Ending::None));
        }
        drop(held);
        assert_eq!(table.memory.excess(), 0);
    }

    #[tokio::test]
    async fn the_table_forgets_what_has_ended() {
        let table = table(2);
        drop(table.admit(network(1)).await);
        table.closed().await;
        let entries = table.entries();
        assert!(entries.by_id.is_empty() && entries.load.is_empty());
    }
}
