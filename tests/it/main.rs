//! The one integration-test binary; what it tests stands in its modules.

#![allow(clippy::disallowed_methods, reason = "tests stand at the edge: they read files and start processes")]

mod allocations;
mod any_bytes;
mod browser;
mod compare;
mod corpus;
mod course;
mod dialects;
mod docs;
mod doctor;
mod doors;
mod envelope;
mod exposure;
mod faults;
mod formats;
mod honesty;
mod hostile;
mod init;
mod keys;
mod load;
mod model;
mod notation;
mod pages;
mod play;
mod proxies;
mod recordings;
mod refresh;
mod report;
mod run;
mod stand_ins;
mod steps;
mod support;
mod tidy;
mod trace_cases;
mod trust;
mod values;
mod walkthrough;
mod wire;
