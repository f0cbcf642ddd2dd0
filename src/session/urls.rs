//! Addresses that were read lately: thousands of users go to the same few, and to read one takes longer than to compare it.
//!
//! What an address leads to is not known here.

use std::cell::RefCell;
use std::collections::VecDeque;

use url::{ParseError, Url};

/// More than the steps of most profiles and their socket have.
const KEPT: usize = 8;

/// Those of one thread.
#[derive(Debug, Default)]
pub struct Urls(RefCell<VecDeque<(String, Url)>>);

impl Urls {
    /// Reads `text`, or remembers it.
    ///
    /// # Errors
    ///
    /// When it is no URL.
    pub fn parse(&self, text: &str) -> Result<Url, ParseError> {
        let mut known = self.0.borrow_mut();
        if let Some((_, url)) = known.iter().find(|(known, _)| known == text) {
            return Ok(url.clone());
        }
        let url = Url::parse(text)?;
        known.truncate(KEPT - 1);
        known.push_front((text.to_owned(), url.clone()));
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_would_be_read() {
        let urls = Urls::default();
        let one = |nth: usize| format!("http://127.0.0.1:{}/a?b={nth}", 8000 + nth);
        let odd = "HTTP://Example.com:80/a b";
        for _ in 0..2 {
            for text in (0..KEPT + 1).map(one).chain([odd.to_owned()]) {
                assert_eq!(urls.parse(&text), Url::parse(&text), "{text}");
                assert_eq!(urls.parse(&text), Url::parse(&text), "{text}");
            }
        }
        assert_eq!(urls.0.borrow().len(), KEPT);
        assert_eq!(urls.parse("no address"), Url::parse("no address"));
    }
}
