//! Targets behind TLS: whom the harness trusts, who it is to them, and that a report says what was checked.

use rcgen::{CertifiedKey, KeyPair};

use crate::support::process::{Ended, Place, Process, shipped};
use crate::support::relay::{Relay, over_tls};
use crate::support::report::Report;
use crate::support::site::{Served, Site, Upgrade};

const SCENARIO: &str = r#"
version: 1
name: trust
target: profile.yaml
users: { count: 2, email: "qa${user.number}@example.com", password: { env: PASSWORD, on_loopback: golden-path } }
ask: { prompt: "Which services drive our cloud bill? (ref ${canary})" }
expect: { isolation: { required: false } } # runs of a site are so short that they need not overlap
timeouts: { quiet: 50ms }
"#;

/// TLS in front of a site, as a load balancer is: with `own` as its certificate; clients must show `wanted`, if it is given.
struct Front {
    relay: Relay,
    _behind: Served,
}

impl Front {
    fn serve(own: &CertifiedKey<KeyPair>, wanted: Option<&CertifiedKey<KeyPair>>) -> Front {
        let behind = Site::new().upgrade(Upgrade::Accept).serve();
        Front { relay: over_tls(behind.address(), own, wanted), _behind: behind }
    }
}

fn certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate")
}

fn drive(front: &Front, place: &Place, flags: &[&str], variables: &[(&str, &str)]) -> Ended {
    place.write("scenario.yaml", SCENARIO);
    // Nobody waits for a target to become trusted.
    let profile = std::fs::read_to_string(shipped("scenarios/targets/netra.yaml")).expect("a profile");
    place.write("profile.yaml", &profile.replace("within: 60s", "within: 1s"));
    let url = format!("https://localhost:{}", front.relay.address.port());
    let mut arguments = vec!["run", "scenario.yaml", "--url", &url, "-q", "--out", "out"];
    arguments.extend(flags);
    let mut command = place.goldenpath(&arguments);
    command.envs(variables.iter().copied());
    Process::start(command).end()
}

#[test]
fn whom_to_trust_is_said_on_the_command_line_or_by_the_system() {
    let own = certificate();
    let front = Front::serve(&own, None);
    let place = Place::new();
    place.write("ca.pem", &own.cert.pem());
    place.write("other.pem", &certificate().cert.pem());
    let notes = |ended: Ended, code: i32| {
        let stdout = ended.exits(code).stdout;
        let report = Report::in_folder(&place.path().join("out"));
        (stdout, report.0["notes"].to_string())
    };
    for flags in [&[][..], &["--cacert", "other.pem"]] {
        drive(&front, &place, flags, &[]).exits(3);
        let witness = Report::in_folder(&place.path().join("out")).witness("GP401");
        assert!(witness.contains("invalid peer certificate"), "{flags:?}: {witness}");
    }
    let (stdout, said) = notes(drive(&front, &place, &["--cacert", "ca.pem"], &[]), 0);
    assert!(said.contains("certificates are checked against 1 given roots and no other"), "{said}");
    assert!(stdout.contains("--cacert ca.pem"), "the command that repeats it: {stdout}");
    let (_, said) = notes(drive(&front, &place, &[], &[("SSL_CERT_FILE", "ca.pem")]), 0);
    assert!(said.contains("certificates are checked against 1 roots of the system"), "{said}");
    let (stdout, said) = notes(drive(&front, &place, &["--insecure"], &[]), 0);
    assert!(said.contains("WHO THE TARGET IS WAS NOT CHECKED"), "{said}");
    assert!(stdout.contains("NOT CHECKED"), "{stdout}");
}

#[test]
fn a_target_that_asks_who_comes_is_shown_a_certificate() {
    let (own, client) = (certificate(), certificate());
    let front = Front::serve(&own, Some(&client));
    let place = Place::new();
    place.write("ca.pem", &own.cert.pem());
    place.write("cert.pem", &client.cert.pem());
    place.write("key.pem", &client.signing_key.serialize_pem());
    let shown = ["--cacert", "ca.pem", "--cert", "cert.pem", "--key", "key.pem"];
    drive(&front, &place, &shown, &[]).exits(0);
    drive(&front, &place, &shown[..2], &[]).exits(3);
}

#[test]
fn files_that_are_no_certificates_are_told_before_any_traffic() {
    let place = Place::new();
    place.write("scenario.yaml", &SCENARIO.replace("profile.yaml", "embedded"));
    place.write("empty.pem", "nothing here\n");
    place.write("cert.pem", &certificate().cert.pem());
    for (flags, told) in [
        (&["--cacert", "absent.pem"][..], "absent.pem: "),
        (&["--cacert", "empty.pem"], "empty.pem holds no certificate as PEM"),
        (&["--cert", "cert.pem", "--key", "cert.pem"], "cert.pem: "),
        (&["--cert", "cert.pem"], "--key"),
        (&["--insecure", "--cacert", "cert.pem"], "cannot be used with"),
    ] {
        let ended = place.run(&[&["run", "scenario.yaml", "-q"], flags].concat()).exits(2);
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
    }
}
