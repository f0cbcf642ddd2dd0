//! From an event to the connections of its user.
//!
//! Every event of every agent run passes [`Delivery::emit`], and nothing else puts frames into an outbox: this is the
//! place to drop, repeat, reorder or misdirect one on purpose. Writing to sockets is not its business.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::envelope::{Envelope, Event};
use super::journal::{Journal, Outcome};
use super::lock;

/// A text frame on its way to a socket.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) kind: &'static str,
    pub(super) run_id: Option<Arc<str>>,
    /// The last frame of its run, after which the journal file is brought up to date.
    pub(super) ends_run: bool,
    pub(super) text: Utf8Bytes,
}

#[derive(Debug)]
pub(super) struct Delivery {
    envelope: Envelope,
    outbox_frames: usize,
    journal: Option<Arc<Journal>>,
    connections: AtomicU64,
    members: Mutex<HashMap<Arc<str>, Vec<Member>>>,
}

/// An open connection of a user.
#[derive(Debug, Clone)]
struct Member {
    connection: u64,
    outbox: mpsc::Sender<Frame>,
}

impl Delivery {
    pub(super) fn new(envelope: Envelope, outbox_frames: usize, journal: Option<Arc<Journal>>) -> Delivery {
        Delivery {
            envelope,
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
    pub(super) fn join(&self, user_id: &Arc<str>, connection: u64) -> mpsc::Receiver<Frame> {
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

    /// Hands an event to all connections of its user. Waits while an outbox is full, so that nothing is lost to a slow
    /// reader; the time limit on writes bounds that wait. Without a connection the event is lost, which the journal
    /// notes.
    pub(super) async fn emit(&self, event: &Event) {
        let frame = Frame {
            kind: event.body.kind(),
            run_id: Some(Arc::clone(&event.run_id)),
            ends_run: event.body.ends_run(),
            text: self.envelope.event(event).into(),
        };
        let members = lock(&self.members).get(&event.user_id).cloned().unwrap_or_default();
        if members.is_empty() {
            self.lost(None, &event.user_id, frame);
            return;
        }
        for Member { connection, outbox } in members {
            if let Err(mpsc::error::SendError(frame)) = outbox.send(frame.clone()).await {
                self.lost(Some(connection), &event.user_id, frame);
            }
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
    use super::super::envelope::Body;
    use super::*;

    fn event(user_id: &str) -> Event {
        Event {
            user_id: user_id.into(),
            thread_id: "t".into(),
            run_id: "r".into(),
            agent_name: "advisor".into(),
            event_id: "e".to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            body: Body::Started,
        }
    }

    #[tokio::test]
    async fn all_connections_of_the_user_get_the_event_and_no_others() {
        let delivery = Delivery::new(Envelope::Flat, 4, None);
        let (ann, bob) = ("ann".into(), "bob".into());
        let (mut first, mut second) = (delivery.join(&ann, 1), delivery.join(&ann, 2));
        let mut other = delivery.join(&bob, 3);
        delivery.emit(&event("ann")).await;
        assert_eq!(first.try_recv().unwrap().text, second.try_recv().unwrap().text);
        assert!(other.try_recv().is_err());
        delivery.leave(&ann, 1);
        delivery.emit(&event("ann")).await;
        assert!(first.try_recv().is_err());
        assert!(second.try_recv().is_ok());
    }

    #[tokio::test]
    async fn an_event_without_a_connection_is_noted_as_failed() {
        let journal = Arc::new(Journal::open(true, None).unwrap().unwrap());
        let delivery = Delivery::new(Envelope::Flat, 4, Some(Arc::clone(&journal)));
        delivery.emit(&event("ann")).await;
        let gone = delivery.join(&"ann".into(), 7);
        drop(gone);
        delivery.emit(&event("ann")).await;
        let noted: Vec<_> = journal.snapshot().iter().map(|entry| (entry.connection, entry.outcome)).collect();
        assert_eq!(noted, [(None, Outcome::Failed), (Some(7), Outcome::Failed)]);
    }
}
