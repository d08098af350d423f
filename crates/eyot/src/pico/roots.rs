//! Whom the board believes to be its server.

use std::path::{Path, PathBuf};

use device_core::settings::SERVER_CAS_MAX;
use pki::{CertificateInfo, parse_certificate};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::client::{Api, amazon_roots};
use crate::failure::{Context as _, Failure, Outcome};
use crate::input_file;
use crate::provision::Check;
use crate::wall_clock;

use super::board_tls;

/// Certificate authorities for the board.
#[derive(Debug)]
pub(crate) struct Roots {
    /// Those that go into the configuration. Amazon Root CA 1 and 3 do not: the firmware has them.
    pub(crate) for_board: Vec<CertificateInfo>,
    /// All that the board will trust now, PEM, to look at the server as the board will; or which one is missing here.
    pub(crate) to_verify: Result<String, &'static str>,
    /// What is doubtful about those for the board.
    pub(crate) doubts: Vec<Check>,
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
            let own = parse_certificate(pem.as_bytes())
                .context(|| "the server's CA is unreadable".to_owned())
                .map_err(|failure| failure.advice("`eyot doctor` looks at the server's CA"))?;
            for_board.push(own);
        }
        for path in files {
            for authority in of_file(path)? {
                if !for_board.contains(&authority) {
                    for_board.push(authority);
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
        let now_s = wall_clock::now_ms() / 1000;
        let doubts = for_board.iter().filter_map(|authority| doubt(authority, now_s)).collect();
        if let Ok(pem) = &mut to_verify {
            // The firmware looks at their dates as well, which a TLS library on a computer does not.
            let valid = for_board.iter().filter(|authority| doubt(authority, now_s).is_none());
            pem.extend(valid.map(CertificateInfo::pem));
        }
        Ok(Self { for_board, to_verify, doubts })
    }
}

/// Whether the board will not believe an authority, because of its dates.
fn doubt(authority: &CertificateInfo, now_s: i64) -> Option<Check> {
    let date = |seconds: i64| wall_clock::to_date(seconds.saturating_mul(1000));
    let why = if now_s > authority.not_after {
        format!("it ended on {}", date(authority.not_after))
    } else if now_s < authority.not_before {
        format!("it is valid from {} on", date(authority.not_before))
    } else {
        return None;
    };
    let what = format!("the board is given the CA `{}`", authority.subject);
    Some(Check::doubtful(what, format!("{why}, and the board looks at that")))
}

/// The authorities of a file that `--ca` names.
fn of_file(path: &Path) -> Outcome<Vec<CertificateInfo>> {
    let bytes = input_file::read(path, "--ca FILE")?;
    authorities(&bytes).map_err(|why| {
        Failure::new(format!("`{}` cannot be a server's CA", path.display()))
            .why(why)
            .advice("give --ca the certificate of the CA that signed the server's, PEM or DER")
    })
}

/// The certificates of a file, one in DER or any number in PEM.
fn authorities(bytes: &[u8]) -> Result<Vec<CertificateInfo>, String> {
    let mut found = Vec::new();
    for (index, der) in CertificateDer::pem_slice_iter(bytes).enumerate() {
        let number = index + 1;
        let der = der.map_err(|error| format!("its PEM block {number} cannot be decoded: {error}"))?;
        found.push(authority(&der).map_err(|why| format!("certificate {number} in it: {why}"))?);
    }
    if found.is_empty() {
        found.push(authority(bytes)?);
    }
    Ok(found)
}

fn authority(bytes: &[u8]) -> Result<CertificateInfo, String> {
    let info = parse_certificate(bytes).map_err(|error| error.to_string())?;
    if !info.is_authority {
        return Err(format!("the certificate of `{}` is no authority's", info.subject));
    }
    if !board_tls::is_known(info.key_kind) {
        let (subject, kind) = (&info.subject, info.key_kind);
        return Err(format!("the key of `{subject}` cannot be used ({kind}): {}", board_tls::KNOWN_KEYS));
    }
    Ok(info)
}
