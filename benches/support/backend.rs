//! The embedded backend in a process of its own, for benchmarks that count what the harness's process takes.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// The backend; it ends with its owner.
pub struct Backend {
    process: Child,
    /// Kept to the end: a backend whose words nobody takes ends.
    _words: BufReader<ChildStdout>,
    /// Host and port.
    pub address: String,
}

impl Backend {
    /// Starts `command`, which is `goldenpath serve` with its options, and waits until it says where it listens.
    pub fn start(command: &mut Command) -> Backend {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the backend starts");
        let (mut words, mut said) = (BufReader::new(process.stdout.take().expect("a pipe")), String::new());
        words.read_line(&mut said).expect("the backend says where it is");
        let address = said.split_whitespace().find_map(|word| word.strip_prefix("http://")).expect("its address");
        Backend { process, _words: words, address: address.to_owned() }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
