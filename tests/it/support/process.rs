//! The binary as its users start it: in a folder of its own, without their variables, and never longer than a watchdog allows.
//!
//! Waits are for things (a line of output, the end), never for time to pass.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Far longer than any test takes, also on a busy machine; only a process that hangs meets it.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A file of this repository.
pub fn shipped(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// A folder of one test's own, which is the working directory of what it starts.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file in a temporary folder");
    }

    /// The names of everything in this folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("the folder is there");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names
    }

    /// The binary with `arguments`, without any variable of whoever runs the tests.
    pub fn goldenpath(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_goldenpath"));
        command.args(arguments).current_dir(self.path()).env_clear();
        command
    }

    /// Starts the binary and waits for its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Process::start(self.goldenpath(arguments)).end()
    }
}

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// A process that is killed when nobody looks at it any more.
pub struct Process {
    child: Child,
    said: Receiver<(Stream, String)>,
    stdout: String,
    stderr: String,
    until: Instant,
}

/// A process that ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    pub fn start(mut command: Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let (sender, said) = channel();
        listen(child.stdout.take().expect("a pipe"), Stream::Out, sender.clone());
        listen(child.stderr.take().expect("a pipe"), Stream::Err, sender);
        Process { child, said, stdout: String::new(), stderr: String::new(), until: Instant::now() + WATCHDOG }
    }

    /// Waits for a line that holds `text`, and returns it.
    pub fn wait_for(&mut self, stream: Stream, text: &str) -> String {
        loop {
            match self.hear() {
                Some((from, line)) if from == stream && line.contains(text) => return line,
                Some(_) => {}
                None => self.fail(&format!("it ended without saying {text:?}")),
            }
        }
    }

    /// Sends a signal by its name, as a shell or a CI system would.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("a shell");
        assert!(status.success(), "{kill}: {status}");
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        while self.hear().is_some() {}
        // Both streams are closed, so nothing but the end is left.
        let status = self.child.wait().expect("a status");
        Ended { status, stdout: std::mem::take(&mut self.stdout), stderr: std::mem::take(&mut self.stderr) }
    }

    /// The next line of either stream; nothing once both are closed.
    fn hear(&mut self) -> Option<(Stream, String)> {
        use std::sync::mpsc::RecvTimeoutError;

        let left = self.until.saturating_duration_since(Instant::now());
        match self.said.recv_timeout(left) {
            Ok((stream, line)) => {
                match stream {
                    Stream::Out => self.stdout.push_str(&line),
                    Stream::Err => self.stderr.push_str(&line),
                }
                Some((stream, line))
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => self.fail("it did not end"),
        }
    }

    fn fail(&mut self, why: &str) -> ! {
        let _ = self.child.kill();
        panic!("{why}\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Fails with both streams unless the process ended with this exit code.
    pub fn exits(self, code: i32) -> Ended {
        assert_eq!(self.status.code(), Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// `goldenpath serve` in a process of its own.
pub struct Backend {
    process: Process,
    pub url: String,
}

impl Backend {
    pub fn serve(place: &Place, options: &[&str]) -> Backend {
        let mut process = Process::start(place.goldenpath(&[&["serve"], options].concat()));
        let line = process.wait_for(Stream::Out, "embedded backend at ");
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address").to_owned();
        Backend { process, url }
    }

    /// Ends it in order, so that its journal is whole.
    pub fn stop(self) -> Ended {
        self.process.signal("TERM");
        self.process.end().exits(0)
    }
}

/// Hands on what a stream says, line by line, until it is closed.
fn listen(stream: impl Read + Send + 'static, from: Stream, sender: Sender<(Stream, String)>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8(std::mem::take(&mut line)).expect("output is UTF-8");
            if sender.send((from, text)).is_err() {
                return;
            }
        }
    });
}
