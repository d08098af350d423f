//! Which server a command talks to.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::config;
use crate::directory;
use crate::failure::{Failure, Outcome};
use crate::ready::{self, Ready};

/// Where a server is when nothing says otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:4566";

/// How a command is told which server to talk to.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ServerArgs {
    /// The AWS API to talk to [default: the server of the data directory, else http://127.0.0.1:4566]
    ///
    /// An address under amazonaws.com, such as https://iot.eu-central-1.amazonaws.com, is AWS itself: the credentials
    /// then come from AWS_ACCESS_KEY_ID and its companions or from ~/.aws/credentials.
    #[arg(long, env = "EYOT_ENDPOINT_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) endpoint_url: Option<String>,
    /// Data directory of the server to talk to [default: the platform's data directory + /eyot]
    #[arg(long, env = "EYOT_DATA_DIR", value_name = "DIR", hide_env_values = true)]
    pub(crate) data_dir: Option<PathBuf>,
}

/// A server, found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// An eyot: every service at one address.
    Eyot {
        /// `http://HOST:PORT`, without a path.
        url: String,
        /// What stands in the way when it does not answer.
        found_by: FoundBy,
    },
    /// AWS: one host per service.
    Aws {
        /// The region.
        region: String,
        /// `amazonaws.com`, or China's.
        domain: String,
    },
}

/// How the address was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FoundBy {
    /// It was given.
    Given,
    /// From a ready file.
    ReadyFile,
    /// It is the default one.
    Default,
}

impl ServerArgs {
    /// Finds the server: `--endpoint-url`, else the ready file of the data directory, else the default port.
    pub(crate) fn target(&self) -> Outcome<Target> {
        if let Some(url) = &self.endpoint_url {
            return parse(url);
        }
        let dir = self.data_dir.clone().or_else(directory::default_data_dir);
        let found = dir.and_then(|dir| Ready::read(&dir.join(ready::FILE_NAME))?.api_url());
        Ok(match found {
            Some(url) => Target::Eyot { url, found_by: FoundBy::ReadyFile },
            None => Target::Eyot { url: DEFAULT_URL.to_owned(), found_by: FoundBy::Default },
        })
    }
}

impl Target {
    /// The region to sign for.
    pub(crate) fn region(&self) -> String {
        match self {
            Self::Aws { region, .. } => region.clone(),
            Self::Eyot { .. } => config::default_region(),
        }
    }

    /// An eyot whose address is known to be right.
    pub(crate) fn given(url: &str) -> Self {
        Self::Eyot { url: url.to_owned(), found_by: FoundBy::Given }
    }

    /// Whether this is AWS itself.
    pub(crate) fn is_aws(&self) -> bool {
        matches!(self, Self::Aws { .. })
    }

    /// Whether the address never leaves this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let Self::Eyot { url, .. } = self else { return false };
        let Some((_, host, _)) = split(url) else { return false };
        let host = without_port(host);
        host == "localhost"
            || host.ends_with(".localhost")
            || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// What to try when nobody answers.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Aws { .. } => "check this machine's way to the Internet",
            Self::Eyot { found_by: FoundBy::Given, .. } => {
                "is the server running there? `eyot serve` starts one"
            }
            Self::Eyot { found_by: FoundBy::ReadyFile, .. } => {
                "the address is from ready.json in the data directory: the server may have crashed; start it again with `eyot serve`"
            }
            Self::Eyot { found_by: FoundBy::Default, .. } => {
                "start a server with `eyot serve`, or say where one is with --endpoint-url"
            }
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Eyot { url, .. } => f.write_str(url),
            Self::Aws { region, .. } => write!(f, "AWS in {region}"),
        }
    }
}

fn parse(url: &str) -> Outcome<Target> {
    let unusable = |why: &str| {
        Failure::new(format!("`{url}` is no address of a server"))
            .why(why)
            .advice("write it as http://127.0.0.1:4566, or https://iot.REGION.amazonaws.com for AWS")
    };
    let (scheme, host, rest) =
        split(url).ok_or_else(|| unusable("it does not begin with http:// or https://"))?;
    if host.is_empty() || url.contains('@') || !matches!(rest, "" | "/") {
        return Err(unusable("after the scheme there must be a host, perhaps a port, and nothing else"));
    }
    let name = without_port(host);
    for domain in ["amazonaws.com", "amazonaws.com.cn"] {
        let Some(labels) = name.strip_suffix(domain).and_then(|labels| labels.strip_suffix('.')) else {
            continue;
        };
        // `iot.eu-central-1`, or a data endpoint: `a1b2c3-ats.iot.eu-central-1`.
        let mut labels = labels.split('.').skip_while(|label| *label != "iot" && *label != "logs").skip(1);
        let region = labels.next().ok_or_else(|| unusable("it does not name a region"))?;
        return Ok(Target::Aws { region: region.to_owned(), domain: domain.to_owned() });
    }
    Ok(Target::Eyot { url: format!("{scheme}://{host}"), found_by: FoundBy::Given })
}

/// The host of `HOST:PORT`, `HOST` or `[V6]:PORT`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    }
}

/// Scheme, host with port, and the rest of a URL.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    if scheme != "http" && scheme != "https" {
        return None;
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    Some((scheme, host, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Outcome<Target> {
        ServerArgs { endpoint_url: Some(url.to_owned()), data_dir: None }.target()
    }

    #[test]
    fn aws_is_told_by_its_name() {
        let aws = |region: &str, domain: &str| Target::Aws { region: region.into(), domain: domain.into() };
        for (url, expected) in [
            ("https://iot.eu-central-1.amazonaws.com", aws("eu-central-1", "amazonaws.com")),
            ("https://a1b2-ats.iot.us-east-1.amazonaws.com/", aws("us-east-1", "amazonaws.com")),
            ("https://iot.cn-north-1.amazonaws.com.cn", aws("cn-north-1", "amazonaws.com.cn")),
        ] {
            assert_eq!(target(url).expect(url), expected);
        }
        assert!(!target("http://amazonaws.com.example:80").expect("an eyot").is_aws());
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for url in [
            "localhost:4566",
            "ftp://x",
            "http://",
            "http://u:p@x",
            "http://x/y",
            "https://iot.amazonaws.com",
        ] {
            let text = target(url).expect_err(url).to_string();
            assert!(text.contains("http://127.0.0.1:4566"), "{url}: {text}");
        }
    }

    #[test]
    fn loopback_is_told_by_its_address() {
        for (url, loopback) in [
            ("http://localhost:4566", true),
            ("http://127.1.2.3:1", true),
            ("http://[::1]:4566", true),
            ("http://192.168.1.2:4566", false),
            ("https://localhost.example", false),
            ("https://iot.eu-central-1.amazonaws.com", false),
        ] {
            assert_eq!(target(url).expect(url).is_loopback(), loopback, "{url}");
        }
    }

    #[test]
    fn the_ready_file_names_the_server_of_a_directory() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let arguments = ServerArgs { endpoint_url: None, data_dir: Some(dir.path().to_owned()) };
        assert_eq!(arguments.target().expect("found").to_string(), DEFAULT_URL);
        let ready = r#"{"pid":1,"api":"127.0.0.1:1234","mqtts":null,"https":null,"alpn":null,"mqtt":null,"ca":"x","console":null}"#;
        std::fs::write(dir.path().join(ready::FILE_NAME), ready).expect("written");
        let target = arguments.target().expect("found");
        assert_eq!(target.to_string(), "http://127.0.0.1:1234");
        assert!(target.is_loopback());
    }
}
