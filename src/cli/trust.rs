//! Flags that say whom to trust and who to be over TLS, and the files behind them.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::execute::quoted;
use crate::session::tls::{Identity, Tls};

/// Whom to trust, and who to be.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TrustArgs {
    /// Trust the certificates in this PEM file, and no others
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Show the certificate in this PEM file to targets that ask for one
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Check no certificate of the target; every report says so
    #[arg(long, conflicts_with = "cacert")]
    insecure: bool,
}

impl TrustArgs {
    /// Reads what the flags name.
    ///
    /// # Errors
    ///
    /// What is wrong with a file, with its name.
    pub fn tls(&self) -> Result<Tls, String> {
        let tls = match &self.cacert {
            _ if self.insecure => Tls::unchecked(),
            Some(file) => Tls::only(certificates(file)?),
            None => Tls::system(),
        };
        let Some((cert, key)) = self.cert.as_ref().zip(self.key.as_ref()) else { return Ok(tls) };
        let chain = certificates(cert)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
        Ok(tls.with_identity(Identity { chain, key }))
    }

    /// No certificate is checked.
    pub fn unchecked(&self) -> bool {
        self.insecure
    }

    /// The flags again, as a POSIX shell reads them.
    pub fn words(&self) -> Vec<String> {
        let files = [("--cacert", &self.cacert), ("--cert", &self.cert), ("--key", &self.key)];
        let files = files.into_iter().filter_map(|(flag, file)| Some((flag, file.as_ref()?)));
        let mut words: Vec<String> =
            files.flat_map(|(flag, file)| [flag.to_owned(), quoted(&file.display().to_string())]).collect();
        words.extend(self.insecure.then(|| "--insecure".to_owned()));
        words
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let found = CertificateDer::pem_file_iter(file).map_err(|error| format!("{shown}: {error}"))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| format!("{shown}: {error}"))?;
    if found.is_empty() { Err(format!("{shown} holds no certificate as PEM")) } else { Ok(found) }
}
