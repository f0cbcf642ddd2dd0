//! Whom to trust: one TLS configuration for HTTP and WebSockets.
//!
//! It is made at the first `https` or `wss` address, never for plain ones: reading the system's certificates takes longer than
//! a whole run against a local target. `SSL_CERT_FILE` and `SSL_CERT_DIR` are part of what the system trusts.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Whom to trust, loaded when first needed. Clones share what was loaded.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    whom: Whom,
    identity: Option<Arc<Identity>>,
    loaded: Arc<OnceLock<Result<Trust, String>>>,
    /// Where the certificates go that are shown, whether they are trusted or not.
    watch: Option<Shown>,
}

/// Certificates that were shown.
pub(super) type Shown = Arc<Mutex<Vec<CertificateDer<'static>>>>;

#[derive(Debug, Clone, Default)]
enum Whom {
    /// Whom the system trusts.
    #[default]
    System,
    /// These roots.
    Only(Arc<[CertificateDer<'static>]>),
    /// Whoever answers.
    Anybody,
}

/// Who the harness is to a target that asks for a certificate.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, and those that lead from it to a root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// What was loaded.
#[derive(Debug, Clone)]
pub struct Trust {
    /// For both HTTP and WebSockets; no protocol is negotiated, so both speak HTTP/1.1.
    pub config: Arc<ClientConfig>,
    /// Where the roots came from.
    pub roots: Roots,
}

/// Where the trusted roots came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roots {
    /// The system's store.
    System {
        /// How many.
        count: usize,
    },
    /// Mozilla's, built in; the system has none, as in a slim container.
    BuiltIn {
        /// How many.
        count: usize,
    },
    /// Those that were given, and no other.
    Given {
        /// How many.
        count: usize,
    },
    /// None: any certificate is taken, whoever shows it.
    Unchecked,
}

impl Tls {
    /// Trust whom the system trusts.
    pub fn system() -> Tls {
        Tls::default()
    }

    /// Trust these roots and no other, as for a staging target with its own authority.
    pub fn only(roots: Vec<CertificateDer<'static>>) -> Tls {
        Tls { whom: Whom::Only(roots.into()), ..Tls::default() }
    }

    /// Trust whoever answers: for a target whose certificate cannot be had, and never unsaid.
    pub fn unchecked() -> Tls {
        Tls { whom: Whom::Anybody, ..Tls::default() }
    }

    /// The same, with a certificate to show to targets that ask for one.
    pub fn with_identity(self, identity: Identity) -> Tls {
        Tls { identity: Some(Arc::new(identity)), loaded: Arc::default(), ..self }
    }

    /// The same for whoever wants to see the certificates that are shown.
    pub(super) fn watched(&self, watch: Shown) -> Tls {
        Tls { watch: Some(watch), loaded: Arc::default(), ..self.clone() }
    }

    /// Loads at the first call.
    ///
    /// # Errors
    ///
    /// When a given root is not a certificate; a fragment of text, the same at each call.
    pub fn trust(&self) -> Result<&Trust, &str> {
        let loaded = self.loaded.get_or_init(|| {
            let (store, roots) = match &self.whom {
                Whom::Only(given) => given_roots(given)?,
                Whom::System => system_roots(),
                Whom::Anybody => (RootCertStore::empty(), Roots::Unchecked),
            };
            let unchecked = roots == Roots::Unchecked;
            let watched = self.watch.as_ref().filter(|_| !unchecked).map(|_| Arc::new(store.clone()));
            let mut config = client_config(store, self.identity.as_deref())?;
            if unchecked || watched.is_some() {
                let provider = Arc::clone(config.crypto_provider());
                let checks = match watched {
                    None => Checks::Nothing,
                    Some(store) => {
                        let verifier = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider));
                        verifier.build().map_or(Checks::Nobody, Checks::Roots)
                    }
                };
                let verifier = Verifier { checks, provider, watch: self.watch.clone() };
                config.dangerous().set_certificate_verifier(Arc::new(verifier));
            }
            Ok(Trust { config: Arc::new(config), roots })
        });
        loaded.as_ref().map_err(String::as_str)
    }

    /// Where the roots came from, if any address needed them so far.
    pub fn roots_in_use(&self) -> Option<Roots> {
        Some(self.loaded.get()?.as_ref().ok()?.roots)
    }
}

impl fmt::Display for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Roots::System { count } => write!(f, "{count} roots of the system"),
            Roots::BuiltIn { count } => write!(f, "{count} built-in roots of Mozilla (the system has none)"),
            Roots::Given { count } => write!(f, "{count} given roots and no other"),
            Roots::Unchecked => f.write_str("nothing: any certificate was taken"),
        }
    }
}

fn client_config(roots: RootCertStore, identity: Option<&Identity>) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = builder.with_root_certificates(roots);
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some(Identity { chain, key }) => builder
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(|error| format!("the client certificate cannot be used: {error}")),
    }
}

/// Checks certificates in another way than the library does by itself. That whoever shows one has its key is always checked.
#[derive(Debug)]
struct Verifier {
    checks: Checks,
    provider: Arc<CryptoProvider>,
    watch: Option<Shown>,
}

/// What a certificate is checked against.
#[derive(Debug)]
enum Checks {
    /// Any will do.
    Nothing,
    /// These roots, as ever.
    Roots(Arc<WebPkiServerVerifier>),
    /// No root, so that none will do.
    Nobody,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(watch) = &self.watch {
            let shown = std::iter::once(own).chain(above).map(|shown| shown.clone().into_owned()).collect();
            *watch.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        }
        match &self.checks {
            Checks::Nothing => Ok(ServerCertVerified::assertion()),
            Checks::Roots(roots) => roots.verify_server_cert(own, above, name, stapled, now),
            Checks::Nobody => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn given_roots(given: &[CertificateDer<'static>]) -> Result<(RootCertStore, Roots), String> {
    let mut store = RootCertStore::empty();
    for root in given {
        store.add(root.clone()).map_err(|error| format!("a given root certificate cannot be used: {error}"))?;
    }
    Ok((store, Roots::Given { count: given.len() }))
}

fn system_roots() -> (RootCertStore, Roots) {
    let mut store = RootCertStore::empty();
    // Stores often hold a few certificates that nobody can parse; the others serve.
    let (count, _unusable) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if count > 0 {
        return (store, Roots::System { count });
    }
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let count = store.len();
    (store, Roots::BuiltIn { count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_loaded_before_it_is_needed() {
        let tls = Tls::only(Vec::new());
        let clone = tls.clone();
        assert_eq!(tls.roots_in_use(), None);
        tls.trust().unwrap();
        assert_eq!(clone.roots_in_use(), Some(Roots::Given { count: 0 }));
    }

    #[test]
    fn a_root_that_is_no_certificate_is_named() {
        let tls = Tls::only(vec![CertificateDer::from(vec![1, 2, 3])]);
        let error = tls.trust().unwrap_err();
        assert!(error.starts_with("a given root certificate cannot be used"), "{error}");
        assert_eq!(tls.roots_in_use(), None);
    }
}
