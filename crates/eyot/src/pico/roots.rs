//! Whom the board believes to be its server.

use std::path::PathBuf;

use device_core::settings::SERVER_CAS_MAX;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::client::{Api, amazon_roots};
use crate::failure::{Context as _, Failure, Outcome};

/// Certificate authorities for the board.
#[derive(Debug)]
pub(crate) struct Roots {
    /// Those that go into the configuration, DER. Amazon Root CA 1 and 3 do not: the firmware has them.
    pub(crate) for_board: Vec<Vec<u8>>,
    /// All that the board will trust, PEM, to look at the server as the board will; or which one is missing here.
    pub(crate) to_verify: Result<String, &'static str>,
}

impl Roots {
    /// An eyot's own CA, nothing for AWS, and those of the given files.
    pub(crate) fn of(api: &Api, files: &[PathBuf]) -> Outcome<Self> {
        let mut for_board = Vec::new();
        let mut to_verify = Ok(String::new());
        if api.target().is_aws() {
            to_verify = amazon_roots();
        } else {
            let pem = api.ca_pem()?;
            let der = pki::certificate_der(pem.as_bytes())
                .context(|| "the server's CA is unreadable".to_owned())?;
            for_board.push(der);
        }
        for path in files {
            let shown = path.display();
            let bytes = std::fs::read(path).context(|| format!("cannot read `{shown}`"))?;
            for der in authorities(&bytes)
                .map_err(|why| Failure::new(format!("`{shown}` cannot be a server's CA")).why(why))?
            {
                if !for_board.contains(&der) {
                    for_board.push(der);
                }
            }
        }
        if for_board.len() > SERVER_CAS_MAX {
            return Err(Failure::new(format!(
                "{} certificate authorities are too many for a board",
                for_board.len()
            ))
            .why(format!("its configuration holds {SERVER_CAS_MAX}"))
            .advice("give --ca the one that signed the server's certificate, not a bundle"));
        }
        if let Ok(pem) = &mut to_verify {
            pem.extend(for_board.iter().map(|der| pki::to_pem("CERTIFICATE", der)));
        }
        Ok(Self { for_board, to_verify })
    }
}

/// The certificates of a file, one in DER or any number in PEM.
fn authorities(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut found: Vec<Vec<u8>> =
        CertificateDer::pem_slice_iter(bytes).flatten().map(|certificate| certificate.to_vec()).collect();
    if found.is_empty() {
        found.push(bytes.to_vec());
    }
    for der in &found {
        let info = pki::parse_certificate(der).map_err(|error| error.to_string())?;
        if !info.is_authority {
            return Err(format!("the certificate of `{}` is no authority's", info.subject));
        }
    }
    Ok(found)
}
