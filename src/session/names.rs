//! The addresses of names, looked up once per execution for everybody, so that a slow or limited name server is not measured
//! as the target.
//!
//! Addresses none of which answers are forgotten: a target that moves is found again.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;
use tokio::sync::OnceCell;

/// What one name leads to, once it is known.
type Found = Arc<OnceCell<Vec<IpAddr>>>;

/// What is known of names. Clones know the same.
#[derive(Debug, Clone, Default)]
pub struct Names {
    known: Arc<Mutex<BTreeMap<String, Found>>>,
}

impl Names {
    /// The addresses of `name`, looked up by the first who asks while the others wait.
    ///
    /// # Errors
    ///
    /// The system's words; whoever asks next tries again.
    pub async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = self.found(name);
        let looking = || async {
            let found: Vec<IpAddr> = lookup_host((name, 0)).await?.map(|address| address.ip()).collect();
            match found.is_empty() {
                false => Ok(found),
                true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            }
        };
        found.get_or_try_init(looking).await.cloned()
    }

    /// No address of `name` answers any more.
    pub fn forget(&self, name: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    fn found(&self, name: &str) -> Found {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(name.to_owned()).or_default())
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found = names.look_up(name.as_str()).await?;
            // The port is the URL's, which the client knows.
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_known_is_not_asked_again_until_it_is_forgotten() {
        let names = Names::default();
        let planted = vec![IpAddr::from([192, 0, 2, 1])];
        names.found("localhost").set(planted.clone()).expect("nothing is known yet");
        let same = names.clone();
        assert_eq!(same.look_up("localhost").await.expect("it is known"), planted);
        let resolved = same.resolve("localhost".parse().expect("a name")).await.expect("it is known");
        assert_eq!(resolved.collect::<Vec<_>>(), [SocketAddr::new(planted[0], 0)]);
        same.forget("localhost");
        let looked_up = names.look_up("localhost").await.expect("it is always there");
        assert!(looked_up.iter().all(IpAddr::is_loopback), "{looked_up:?}");
    }

    #[tokio::test]
    async fn a_name_that_is_not_found_is_tried_again() {
        let names = Names::default();
        // Not a name at all, so no server is asked.
        assert!(names.look_up("no name\0").await.is_err());
        assert!(names.found("no name\0").get().is_none());
    }
}
