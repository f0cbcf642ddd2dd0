//! Conversations: who owns which thread, and what was said in it.
//!
//! In memory and for as long as the process lives. It starts no runs and knows no sockets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{lock, unix_seconds};

/// Earlier prompts that the agent is reminded of, newest last.
const REMEMBERED_PROMPTS: usize = 3;

/// Title of a thread that got none.
const UNTITLED: &str = "New conversation";

#[derive(Debug, Default)]
pub(super) struct Threads {
    threads: Mutex<HashMap<Arc<str>, Thread>>,
    /// Ids per user, oldest first.
    owned: Mutex<HashMap<Arc<str>, Vec<Arc<str>>>>,
}

#[derive(Debug)]
struct Thread {
    id: Arc<str>,
    owner: Arc<str>,
    title: String,
    metadata: Value,
    /// Seconds since 1970.
    created_at: u64,
    updated_at: u64,
    messages: Vec<Message>,
}

#[derive(Debug)]
struct Message {
    id: String,
    role: Role,
    text: String,
    run_id: Arc<str>,
    /// Seconds since 1970.
    created_at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Assistant,
}

/// The thread belongs to another user.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied;

/// What the agent knows of a conversation when it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    /// 1 for the first question of the thread.
    pub(super) number: usize,
    /// Up to three prompts before this one, newest last.
    pub(super) earlier: Vec<String>,
}

/// A window on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) limit: usize,
    pub(super) offset: usize,
}

impl Threads {
    /// Makes a thread and returns it as JSON.
    pub(super) fn create(&self, id: Arc<str>, owner: &Arc<str>, title: Option<String>, metadata: Value) -> Value {
        let mut threads = lock(&self.threads);
        let thread = self.enter(&mut threads, id, owner, title, metadata);
        thread.describe()
    }

    /// Stores a question, making the thread if nobody has one of that id, and says which turn it is.
    pub(super) fn ask(
        &self,
        id: &Arc<str>,
        owner: &Arc<str>,
        message_id: String,
        run_id: &Arc<str>,
        prompt: &str,
    ) -> Result<Turn, Denied> {
        let mut threads = lock(&self.threads);
        let thread = match threads.get_mut(id) {
            Some(thread) if thread.owner != *owner => return Err(Denied),
            Some(thread) => thread,
            None => self.enter(&mut threads, Arc::clone(id), owner, None, json!({})),
        };
        let prompts = || thread.messages.iter().filter(|message| message.role == Role::User);
        let asked = prompts().count();
        let turn = Turn {
            number: asked + 1,
            earlier: prompts()
                .skip(asked.saturating_sub(REMEMBERED_PROMPTS))
                .map(|message| message.text.clone())
                .collect(),
        };
        thread.say(message_id, Role::User, prompt.to_owned(), run_id);
        Ok(turn)
    }

    /// Stores an answer, unless the thread was deleted meanwhile.
    pub(super) fn answer(&self, id: &str, message_id: String, run_id: &Arc<str>, text: String) {
        if let Some(thread) = lock(&self.threads).get_mut(id) {
            thread.say(message_id, Role::Assistant, text, run_id);
        }
    }

    /// A user's threads, newest first.
    pub(super) fn list(&self, owner: &str, page: Page) -> Value {
        let threads = lock(&self.threads);
        let owned = lock(&self.owned);
        let ids = owned.get(owner).map_or(&[][..], Vec::as_slice);
        let shown: Vec<Value> = ids
            .iter()
            .rev()
            .skip(page.offset)
            .take(page.limit)
            .filter_map(|id| threads.get(id).map(Thread::describe))
            .collect();
        json!({ "threads": shown, "total": ids.len(), "limit": page.limit, "offset": page.offset })
    }

    /// One thread; `None` as well if it is somebody else's.
    pub(super) fn describe(&self, id: &str, owner: &str) -> Option<Value> {
        lock(&self.threads).get(id).filter(|thread| *thread.owner == *owner).map(Thread::describe)
    }

    /// The messages of a thread, oldest first; `None` as well if it is somebody else's.
    pub(super) fn messages(&self, id: &str, owner: &str, page: Page) -> Option<Value> {
        let threads = lock(&self.threads);
        let thread = threads.get(id).filter(|thread| *thread.owner == *owner)?;
        let shown: Vec<Value> = thread
            .messages
            .iter()
            .skip(page.offset)
            .take(page.limit)
            .map(|message| message.describe(&thread.id))
            .collect();
        Some(json!({
            "messages": shown, "thread_id": id, "total": thread.messages.len(),
            "limit": page.limit, "offset": page.offset,
        }))
    }

    /// Whose thread it is.
    pub(super) fn owner(&self, id: &str) -> Option<Arc<str>> {
        lock(&self.threads).get(id).map(|thread| Arc::clone(&thread.owner))
    }

    /// False if there is none of that id, or it is somebody else's.
    pub(super) fn delete(&self, id: &str, owner: &str) -> bool {
        let mut threads = lock(&self.threads);
        if threads.get(id).is_none_or(|thread| *thread.owner != *owner) {
            return false;
        }
        threads.remove(id);
        if let Some(owned) = lock(&self.owned).get_mut(owner) {
            owned.retain(|owned_id| **owned_id != *id);
        }
        true
    }

    fn enter<'a>(
        &self,
        threads: &'a mut HashMap<Arc<str>, Thread>,
        id: Arc<str>,
        owner: &Arc<str>,
        title: Option<String>,
        metadata: Value,
    ) -> &'a mut Thread {
        lock(&self.owned).entry(Arc::clone(owner)).or_default().push(Arc::clone(&id));
        let now = unix_seconds();
        threads.entry(Arc::clone(&id)).or_insert(Thread {
            id,
            owner: Arc::clone(owner),
            title: title.unwrap_or_else(|| UNTITLED.to_owned()),
            metadata,
            created_at: now,
            updated_at: now,
            messages: Vec::new(),
        })
    }
}

impl Thread {
    fn say(&mut self, id: String, role: Role, text: String, run_id: &Arc<str>) {
        let now = unix_seconds();
        self.updated_at = now;
        self.messages.push(Message { id, role, text, run_id: Arc::clone(run_id), created_at: now });
    }

    fn describe(&self) -> Value {
        json!({
            "id": &*self.id, "object": "thread", "title": self.title, "created_at": self.created_at,
            "updated_at": self.updated_at, "metadata": self.metadata, "message_count": self.messages.len(),
        })
    }
}

impl Message {
    fn describe(&self, thread_id: &str) -> Value {
        let role = match self.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        json!({
            "id": self.id, "object": "thread.message", "role": role,
            "content": [{ "type": "text", "text": { "value": self.text } }],
            "created_at": self.created_at, "thread_id": thread_id, "run_id": &*self.run_id, "metadata": {},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Page = Page { limit: 100, offset: 0 };

    fn ask(threads: &Threads, id: &str, owner: &str, prompt: &str) -> Result<Turn, Denied> {
        threads.ask(&id.into(), &owner.into(), format!("m-{prompt}"), &"r-1".into(), prompt)
    }

    #[test]
    fn a_thread_remembers_who_asked_what_and_in_which_turn() {
        let threads = Threads::default();
        assert_eq!(ask(&threads, "t", "ann", "one"), Ok(Turn { number: 1, earlier: vec![] }));
        threads.answer("t", "m-a".to_owned(), &"r-1".into(), "answer one".to_owned());
        for prompt in ["two", "three", "four"] {
            ask(&threads, "t", "ann", prompt).unwrap();
        }
        let earlier = ["two", "three", "four"].map(str::to_owned).to_vec();
        assert_eq!(ask(&threads, "t", "ann", "five"), Ok(Turn { number: 5, earlier }));
        let messages = threads.messages("t", "ann", Page { limit: 2, offset: 0 }).unwrap();
        assert_eq!(messages["total"], 6);
        assert_eq!(messages["messages"].as_array().unwrap().len(), 2);
        assert_eq!(messages["messages"][0]["role"], "user");
        assert_eq!(messages["messages"][1]["role"], "assistant");
        assert_eq!(messages["messages"][1]["content"][0]["text"]["value"], "answer one");
    }

    #[test]
    fn nobody_else_can_ask_read_or_delete() {
        let threads = Threads::default();
        ask(&threads, "t", "ann", "one").unwrap();
        assert_eq!(ask(&threads, "t", "bob", "two"), Err(Denied));
        assert_eq!(threads.messages("t", "bob", ALL), None);
        assert_eq!(threads.describe("t", "bob"), None);
        assert!(!threads.delete("t", "bob"));
        assert_eq!(threads.list("bob", ALL)["total"], 0);
        assert_eq!(threads.describe("t", "ann").unwrap()["message_count"], 1);
    }

    #[test]
    fn threads_are_listed_newest_first_and_vanish_when_deleted() {
        let threads = Threads::default();
        for id in ["t1", "t2", "t3"] {
            threads.create(id.into(), &"ann".into(), Some(id.to_owned()), json!({}));
        }
        assert!(threads.delete("t2", "ann"));
        assert!(!threads.delete("t2", "ann"));
        let ids = |page| -> Vec<Value> {
            let list = threads.list("ann", page);
            list["threads"].as_array().unwrap().iter().map(|thread| thread["id"].clone()).collect()
        };
        assert_eq!(ids(ALL), ["t3", "t1"]);
        assert_eq!(ids(Page { limit: 1, offset: 1 }), ["t1"]);
        threads.answer("t2", "m".to_owned(), &"r".into(), "too late".to_owned());
        assert_eq!(threads.messages("t2", "ann", ALL), None);
    }
}
