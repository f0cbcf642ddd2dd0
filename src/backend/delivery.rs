//! From an event to the connections of its user.
//!
//! Every event of every agent run passes [`Delivery::hand_to`], and nothing else puts frames into an outbox. Writing to sockets
//! is not its business.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::agent::{Ending, To};
use super::journal::{Journal, Outcome};
use super::lock;

/// A text frame on its way to a socket.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) kind: &'static str,
    pub(super) run_id: Option<Arc<str>>,
    /// The last frame of its run, after which the journal file is brought up to date.
    pub(super) ends_run: bool,
    pub(super) form: Form,
    pub(super) text: Utf8Bytes,
}

/// As what a text goes onto the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Binary,
    /// A text frame whose payload is not UTF-8: the text with its last byte replaced.
    Broken,
}

/// What waits for the writer of a connection.
#[derive(Debug, Clone)]
pub(super) enum Out {
    Frame(Frame),
    End(Ending),
}

#[derive(Debug)]
pub(super) struct Delivery {
    outbox_frames: usize,
    journal: Option<Arc<Journal>>,
    connections: AtomicU64,
    members: Mutex<BTreeMap<Arc<str>, Vec<Member>>>,
}

/// An open connection of a user.
#[derive(Debug, Clone)]
struct Member {
    connection: u64,
    outbox: mpsc::Sender<Out>,
}

impl Delivery {
    pub(super) fn new(outbox_frames: usize, journal: Option<Arc<Journal>>) -> Delivery {
        Delivery {
            outbox_frames: outbox_frames.max(1),
            journal,
            connections: AtomicU64::new(0),
            members: Mutex::default(),
        }
    }

    /// A number for a new connection, from 1.
    pub(super) fn number(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// From now on the connection gets the user's events, in its outbox.
    pub(super) fn join(&self, user_id: &Arc<str>, connection: u64) -> mpsc::Receiver<Out> {
        let (outbox, frames) = mpsc::channel(self.outbox_frames);
        lock(&self.members).entry(Arc::clone(user_id)).or_default().push(Member { connection, outbox });
        frames
    }

    pub(super) fn leave(&self, user_id: &Arc<str>, connection: u64) {
        let mut members = lock(&self.members);
        if let Some(connections) = members.get_mut(user_id) {
            connections.retain(|member| member.connection != connection);
            if connections.is_empty() {
                members.remove(user_id);
            }
        }
    }

    /// Hands a frame to all connections of whom it is for. Waits while an outbox is full, so that nothing is lost to a slow
    /// reader; the time limit on writes bounds that wait. Without a connection the frame is lost, which the journal
    /// notes.
    pub(super) async fn hand_to(&self, to: To, owner: &Arc<str>, frame: Frame) {
        let members = self.receivers(to, owner);
        if members.is_empty() {
            self.lost(None, owner, frame);
            return;
        }
        for Member { connection, outbox } in members {
            if outbox.send(Out::Frame(frame.clone())).await.is_err() {
                self.lost(Some(connection), owner, frame.clone());
            }
        }
    }

    fn receivers(&self, to: To, owner: &Arc<str>) -> Vec<Member> {
        let members = lock(&self.members);
        let own = || members.get(owner).cloned().unwrap_or_default();
        // The next one in the order of ids, so that it is the same one for as long as nobody comes or goes.
        let another = || {
            let mut others = members.iter().filter(|(user, _)| *user != owner);
            let next = others.clone().find(|(user, _)| *user > owner).or_else(|| others.next());
            next.map(|(_, connections)| connections.clone()).unwrap_or_default()
        };
        match to {
            To::Owner => own(),
            To::Everybody => members.values().flatten().cloned().collect(),
            To::OwnerAndAnother => own().into_iter().chain(another()).collect(),
            To::Another => another(),
        }
    }

    /// Ends all connections of a user, after what waits for them.
    pub(super) async fn end(&self, user_id: &Arc<str>, ending: Ending) {
        for Member { outbox, .. } in self.receivers(To::Owner, user_id) {
            // One that is gone has ended already.
            let _ = outbox.send(Out::End(ending)).await;
        }
    }

    /// Another user with a connection, if there is one.
    pub(super) fn another(&self, user_id: &str) -> Option<Arc<str>> {
        lock(&self.members).keys().find(|other| ***other != *user_id).cloned()
    }

    /// Ends the oldest connection if there are more than `limit`; false if there are not.
    pub(super) async fn evict(&self, limit: usize, ending: Ending) -> bool {
        let oldest = {
            let members = lock(&self.members);
            let mut all: Vec<&Member> = members.values().flatten().collect();
            all.sort_by_key(|member| member.connection);
            all.first().filter(|_| all.len() > limit).map(|member| member.outbox.clone())
        };
        match oldest {
            Some(outbox) => outbox.send(Out::End(ending)).await.is_ok(),
            None => false,
        }
    }

    /// Notes a frame that no socket took.
    pub(super) fn lost(&self, connection: Option<u64>, user_id: &Arc<str>, frame: Frame) {
        if let Some(journal) = &self.journal {
            let ends_run = frame.ends_run;
            let user_id = Some(Arc::clone(user_id));
            let pending = journal.begin(connection, user_id, frame.run_id, frame.kind, frame.text);
            journal.settle(pending, Outcome::Failed);
            if ends_run {
                journal.flush();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let (run_id, text) = (Some("r".into()), Utf8Bytes::from_static("{}"));
        Frame { kind: "agent_started", run_id, ends_run: false, form: Form::Text, text }
    }

    fn frames(outbox: &mut mpsc::Receiver<Out>) -> usize {
        std::iter::from_fn(|| outbox.try_recv().ok()).filter(|out| matches!(out, Out::Frame(_))).count()
    }

    #[tokio::test]
    async fn all_connections_of_the_user_get_the_event_and_no_others() {
        let delivery = Delivery::new(4, None);
        let (ann, bob) = ("ann".into(), "bob".into());
        let (mut first, mut second) = (delivery.join(&ann, 1), delivery.join(&ann, 2));
        let mut other = delivery.join(&bob, 3);
        delivery.hand_to(To::Owner, &ann, frame()).await;
        assert_eq!([frames(&mut first), frames(&mut second), frames(&mut other)], [1, 1, 0]);
        delivery.leave(&ann, 1);
        delivery.hand_to(To::Owner, &ann, frame()).await;
        assert_eq!([frames(&mut first), frames(&mut second), frames(&mut other)], [0, 1, 0]);
    }

    #[tokio::test]
    async fn who_else_may_be_meant_gets_it_where_it_is_asked_for() {
        let delivery = Delivery::new(4, None);
        let users: [Arc<str>; 3] = ["ann".into(), "bob".into(), "eve".into()];
        let mut outboxes: Vec<_> =
            users.iter().enumerate().map(|(index, user)| delivery.join(user, index as u64)).collect();
        for (to, owner, got) in [
            (To::Everybody, 0, [1, 1, 1]),
            (To::Another, 0, [0, 1, 0]),
            (To::Another, 2, [1, 0, 0]),
            (To::OwnerAndAnother, 1, [0, 1, 1]),
        ] {
            delivery.hand_to(to, &users[owner], frame()).await;
            let counts: Vec<_> = outboxes.iter_mut().map(frames).collect();
            assert_eq!(counts, got, "{to:?} of {owner}");
        }
    }

    #[tokio::test]
    async fn the_oldest_connection_is_ended_beyond_a_limit() {
        let delivery = Delivery::new(4, None);
        let mut oldest = delivery.join(&"ann".into(), 1);
        let ending = Ending::Close { code: 1000, reason: "limit" };
        delivery.evict(1, ending).await;
        assert!(oldest.try_recv().is_err());
        let mut newest = delivery.join(&"bob".into(), 2);
        delivery.evict(1, ending).await;
        assert!(matches!(oldest.try_recv(), Ok(Out::End(found)) if found == ending));
        assert!(newest.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_event_without_a_connection_is_noted_as_failed() {
        let journal = Arc::new(Journal::open(true, None).unwrap().unwrap());
        let delivery = Delivery::new(4, Some(Arc::clone(&journal)));
        delivery.hand_to(To::Owner, &"ann".into(), frame()).await;
        let gone = delivery.join(&"ann".into(), 7);
        drop(gone);
        delivery.hand_to(To::Owner, &"ann".into(), frame()).await;
        let noted: Vec<_> = journal.snapshot().iter().map(|entry| (entry.connection, entry.outcome)).collect();
        assert_eq!(noted, [(None, Outcome::Failed), (Some(7), Outcome::Failed)]);
    }
}
