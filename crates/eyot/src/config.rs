//! The server's settings: each is defined once, below, with its flag, variable, file key, unit, default and text.
//!
//! A setting comes from the command line, else from its `EYOT_*` variable, else from `eyot.toml` in the data
//! directory, else from its default. The same keys are used on the command line (`--api-port`) and in the file
//! (`api-port = 4566`). The macro makes three things of each definition: the field of [`Given`] (parsed by clap from
//! flags and variables, by serde from the file), its text in `--help`, and the field of [`Settings`].

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use broker::TlsVersions;
use mqtt_session::{Limits, Profile};
use serde::Deserialize;

use crate::directory;
use crate::duration::HumanDuration;
use crate::failure::{Context as _, Failure, Outcome};
use crate::limit_overrides::{self, LimitOverride};

/// The file of settings in the data directory.
pub(crate) const FILE_NAME: &str = "eyot.toml";

macro_rules! settings {
    (
        with default {
            $( $field:ident: $type:ty = $default:literal, $key:literal, $variable:literal, $value:literal, $text:literal
               $(, [$($argument:tt)*])?; )*
        }
        optional {
            $( $opt_field:ident: $opt_type:ty = $opt_default:literal, $opt_key:literal, $opt_variable:literal,
               $opt_value:literal, $opt_text:literal $(, [$($opt_argument:tt)*])? $(, in file $read:literal)?; )*
        }
    ) => {
        /// What one source said; nothing where it is silent.
        #[derive(Debug, Clone, Default, PartialEq, clap::Args, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct Given {
            $(
                #[arg(long = $key, env = $variable, value_name = $value, hide_env_values = true,
                      help = concat!($text, " [default: ", $default, "]") $(, $($argument)*)?)]
                #[serde(rename = $key)]
                pub(crate) $field: Option<$type>,
            )*
            $(
                #[arg(long = $opt_key, env = $opt_variable, value_name = $opt_value, hide_env_values = true,
                      help = concat!($opt_text, " [default: ", $opt_default, "]") $(, $($opt_argument)*)?)]
                #[serde(rename = $opt_key $(, deserialize_with = $read)?)]
                pub(crate) $opt_field: Option<$opt_type>,
            )*
        }

        /// All settings, decided.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct Settings {
            $( #[doc = $text] pub(crate) $field: $type, )*
            $( #[doc = $opt_text] pub(crate) $opt_field: Option<$opt_type>, )*
        }

        impl Given {
            /// These, and where they are silent the weaker ones.
            fn over(self, weaker: Self) -> Self {
                Self {
                    $( $field: self.$field.or(weaker.$field), )*
                    $( $opt_field: self.$opt_field.or(weaker.$opt_field), )*
                }
            }

            fn with_defaults(self) -> Settings {
                Settings {
                    $( $field: self.$field.unwrap_or_else(|| {
                        <$type>::from_str($default).ok().expect("a test parses every default")
                    }), )*
                    $( $opt_field: self.$opt_field, )*
                }
            }
        }
    };
}

settings! {
    with default {
        in_memory: bool = "false", "in-memory", "EYOT_IN_MEMORY", "BOOL",
            "Keep journal, state and logs in memory: everything is gone at the end",
            [num_args = 0..=1, require_equals = true, default_missing_value = "true"];
        api_host: Host = "127.0.0.1", "api-host", "EYOT_API_HOST", "ADDRESS",
            "Address of the AWS API; only loopback, until access keys and HTTPS are there";
        api_port: u16 = "4566", "api-port", "EYOT_API_PORT", "PORT",
            "Port of the AWS API; 0 picks a free one";
        mqtts_port: u16 = "8883", "mqtts-port", "EYOT_MQTTS_PORT", "PORT",
            "Port of MQTT over mutual TLS; 0 picks a free one";
        https_port: u16 = "8443", "https-port", "EYOT_HTTPS_PORT", "PORT",
            "Port of HTTPS publish and MQTT over WebSocket, with a client certificate or SigV4; 0 picks a free one";
        lan: bool = "false", "lan", "EYOT_LAN", "BOOL",
            "Let devices of the network in: device-host 0.0.0.0, this host's addresses and HOSTNAME.local in the server certificate",
            [num_args = 0..=1, require_equals = true, default_missing_value = "true"];
        tls_policy: TlsPolicy = "IoTSecurityPolicy_TLS13_1_2_2022_10", "tls-policy", "EYOT_TLS_POLICY", "NAME",
            "TLS versions that devices may use, by AWS's names of security policies",
            [value_enum];
        connect_timeout: HumanDuration = "30s", "connect-timeout", "EYOT_CONNECT_TIMEOUT", "DURATION",
            "Time that a device has for the TLS handshake and CONNECT; an emulated board that shares a busy processor needs minutes";
        account_id: AccountId = "000000000000", "account-id", "EYOT_ACCOUNT_ID", "DIGITS",
            "The account in ARNs";
        limits: LimitsProfile = "aws", "limits", "EYOT_LIMITS", "PROFILE",
            "AWS's limits, few of them, or none at all (counters kept, thresholds never reached; for benchmarks)",
            [value_enum];
    }
    optional {
        limit: Vec<LimitOverride> = "none", "limit", "EYOT_LIMIT", "NAME=VALUE",
            "Another value for one of the limits, repeatable; `eyot limits` lists them. In the file a table: [limit]",
            [value_delimiter = ','], in file "crate::limit_overrides::read";
        data_dir: PathBuf = "the platform's data directory + /eyot", "data-dir", "EYOT_DATA_DIR", "DIR",
            "Directory of everything that is kept: CA, journal, state, logs, eyot.toml";
        device_host: Host = "127.0.0.1, with --lan 0.0.0.0", "device-host", "EYOT_DEVICE_HOST", "ADDRESS",
            "Address that devices connect to";
        advertise: Vec<String> = "localhost, with --lan this host's address", "advertise", "EYOT_ADVERTISE", "NAME",
            "Name or address in the server certificate, repeatable; the first is what DescribeEndpoint returns",
            [value_delimiter = ','];
        loops: u16 = "half of the processors, at least 1", "loops", "EYOT_LOOPS", "N",
            "Event loops that carry the devices' connections",
            [value_parser = clap::value_parser!(u16).range(1..=LOOPS_MAX)];
        alpn_port: u16 = "off", "alpn-port", "EYOT_ALPN_PORT", "PORT",
            "Port like AWS's 443, where ALPN says what is spoken: x-amzn-mqtt-ca, x-amzn-http-ca, http/1.1; 0 picks a free one";
        insecure_mqtt_port: u16 = "off", "insecure-mqtt-port", "EYOT_INSECURE_MQTT_PORT", "PORT",
            "Port of MQTT without TLS and without certificates, for this machine alone; 0 picks a free one";
        insecure_policy: PathBuf = "allow everything", "insecure-policy", "EYOT_INSECURE_POLICY", "FILE",
            "Policy document for whoever comes to insecure-mqtt-port";
        sntp_port: u16 = "off", "sntp-port", "EYOT_SNTP_PORT", "PORT",
            "UDP port where devices may ask for the time (SNTP), at device-host; boards ask port 123, 0 picks a free one";
        region: Region = "AWS_REGION, else us-east-1", "region", "EYOT_REGION", "REGION",
            "The region in ARNs; requests signed for another are served all the same";
        ready_file: PathBuf = "only ready.json in the data directory", "ready-file", "EYOT_READY_FILE", "PATH",
            "Where to write, as JSON and once everything listens, the addresses in use";
    }
}

/// More event loops than any machine of today has processors: a slip of the finger, not a wish.
const LOOPS_MAX: i64 = 1024;

/// Times that a device may have to connect: a Pico W signs with its RSA key for seven seconds.
const CONNECT_TIMEOUTS: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_mins(10);

/// An account id: twelve digits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct AccountId(pub(crate) String);

impl FromStr for AccountId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err("an account id is twelve digits, such as 123456789012".to_owned())
        }
    }
}

/// A region's name, such as `eu-central-1`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Region(pub(crate) String);

impl FromStr for Region {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=32).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a region is small letters, digits and hyphens, such as eu-central-1".to_owned())
        }
    }
}

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Host(pub(crate) IpAddr);

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "localhost" {
            return Ok(Self(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        }
        text.parse().map(Self).map_err(|_| {
            "it must be one of this machine's addresses, such as 127.0.0.1, or 0.0.0.0 for all of them"
                .to_owned()
        })
    }
}

macro_rules! try_from_string {
    ($($type:ty),*) => { $(
        impl TryFrom<String> for $type {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )* };
}
impl TryFrom<String> for HumanDuration {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|error: crate::duration::DurationError| error.to_string())
    }
}
try_from_string!(AccountId, Region, Host, LimitsProfile, TlsPolicy);

/// Which TLS versions devices may use [AWS iot transport-security].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(try_from = "String")]
pub(crate) enum TlsPolicy {
    /// TLS 1.2 and 1.3
    #[value(name = "IoTSecurityPolicy_TLS13_1_2_2022_10")]
    Tls13And12,
    /// TLS 1.3 only
    #[value(name = "IoTSecurityPolicy_TLS13_1_3_2022_10")]
    Tls13,
    /// TLS 1.2 only
    #[value(name = "IoTSecurityPolicy_TLS12_1_2_2022_10")]
    Tls12,
}

impl FromStr for TlsPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as clap::ValueEnum>::from_str(text, false).map_err(|_| {
            let names: Vec<_> = <Self as clap::ValueEnum>::value_variants()
                .iter()
                .filter_map(clap::ValueEnum::to_possible_value)
                .map(|value| value.get_name().to_owned())
                .collect();
            format!("`{text}` is no security policy: use {}", names.join(", "))
        })
    }
}

/// Whose limits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(try_from = "String")]
pub(crate) enum LimitsProfile {
    /// AWS's documented quotas
    Aws,
    /// Without the walls that hurt at home: payload size, filters per SUBSCRIBE, …
    Relaxed,
    /// Counters kept, thresholds never reached
    None,
}

impl From<LimitsProfile> for Profile {
    fn from(profile: LimitsProfile) -> Self {
        match profile {
            LimitsProfile::Aws => Self::Aws,
            LimitsProfile::Relaxed => Self::Relaxed,
            LimitsProfile::None => Self::None,
        }
    }
}

impl FromStr for LimitsProfile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as clap::ValueEnum>::from_str(text, false)
            .map_err(|_| format!("`{text}` is no profile of limits: use aws, relaxed or none"))
    }
}

impl Settings {
    /// Decides every setting: `given` (flags over variables), over `eyot.toml`, over the defaults.
    pub(crate) fn resolve(given: Given) -> Outcome<Self> {
        let data_dir = match &given.data_dir {
            Some(dir) => Some(dir.clone()),
            // With nothing kept and no directory named there is no file to read either.
            None if given.in_memory == Some(true) => None,
            None => directory::default_data_dir(),
        };
        let file = match &data_dir {
            Some(dir) => read_file(&dir.join(FILE_NAME))?,
            None => Given::default(),
        };
        // One by one: a limit that the file sets holds beside another one of the command line.
        let limit = limit_overrides::over(given.limit.as_deref(), file.limit.as_deref());
        let mut settings = Given { limit, ..given }.over(file).with_defaults();
        settings.data_dir = data_dir;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Outcome {
        if self.data_dir.is_none() && !self.in_memory {
            return Err(Failure::new("there is no data directory")
                .why("neither XDG_DATA_HOME nor HOME is set")
                .advice("name one with --data-dir DIR, or use --in-memory"));
        }
        self.limits_in_force().check().map_err(|error| {
            Failure::new("these limits do not fit together")
                .because(&error)
                .advice("correct --limit; `eyot limits` shows all of them")
        })?;
        if !CONNECT_TIMEOUTS.contains(&self.connect_timeout.0) {
            return Err(Failure::new(format!(
                "a connect-timeout of {} cannot be used",
                self.connect_timeout
            ))
            .why("less keeps boards with RSA keys out, and more lets strangers hold connections")
            .advice("choose between 10s and 10m"));
        }
        if !self.api_host.0.is_loopback() {
            return Err(Failure::new(format!("the API cannot listen on {}", self.api_host.0))
                .why("beyond this machine it needs access keys and HTTPS, which this version does not have yet")
                .advice("leave --api-host at 127.0.0.1; devices of your network are let in with --lan")
                .advice("from another machine use a tunnel: ssh -L 4566:127.0.0.1:4566 THIS_HOST"));
        }
        if self.insecure_mqtt_port.is_some() && !self.device_host().is_loopback() {
            return Err(Failure::new(format!(
                "the insecure MQTT port cannot listen on {}",
                self.device_host()
            ))
            .why("there everybody on the network would get in, without a key")
            .advice("leave out --insecure-mqtt-port, or --lan and --device-host"));
        }
        if self.insecure_policy.is_some() && self.insecure_mqtt_port.is_none() {
            return Err(Failure::new("an insecure-policy without an insecure-mqtt-port decides nothing")
                .advice("name the port as well, or leave the policy out"));
        }
        Ok(())
    }

    /// The profile's limits with the changes to them.
    pub(crate) fn limits_in_force(&self) -> Limits {
        let mut limits = Limits::of(self.limits.into());
        for LimitOverride { name, value } in self.limit.iter().flatten() {
            limits.set(name, value).expect("parsing a change has tried it");
        }
        limits
    }

    /// The address that devices connect to.
    pub(crate) fn device_host(&self) -> IpAddr {
        let otherwise = if self.lan { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        self.device_host.map_or(IpAddr::V4(otherwise), |host| host.0)
    }

    /// The region of this server.
    pub(crate) fn region(&self) -> String {
        self.region.as_ref().map_or_else(default_region, |region| region.0.clone())
    }

    /// TLS versions that devices may use.
    pub(crate) const fn tls_versions(&self) -> TlsVersions {
        match self.tls_policy {
            TlsPolicy::Tls13And12 => TlsVersions::Tls13And12,
            TlsPolicy::Tls13 => TlsVersions::Tls13,
            TlsPolicy::Tls12 => TlsVersions::Tls12,
        }
    }

    /// How many event loops carry connections.
    pub(crate) fn loops(&self) -> usize {
        self.loops.map_or_else(
            || std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1)),
            usize::from,
        )
    }
}

/// `AWS_REGION`, else `AWS_DEFAULT_REGION`, else us-east-1: what the AWS tools would use.
pub(crate) fn default_region() -> String {
    ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|region| region.parse::<Region>().is_ok())
        .unwrap_or_else(|| "us-east-1".to_owned())
}

fn read_file(path: &Path) -> Outcome<Given> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Given::default()),
        Err(error) => return Err(Failure::new(format!("cannot read `{}`", path.display())).because(&error)),
    };
    let given: Given =
        toml::from_str(&text).context(|| format!("cannot use the settings in `{}`", path.display()))?;
    if given.data_dir.is_some() {
        return Err(Failure::new(format!("`{}` sets data-dir", path.display()))
            .why("the file lies in the data directory, so it cannot say where that is")
            .advice("remove the line, and use --data-dir or EYOT_DATA_DIR"));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        given: Given,
    }

    fn given(arguments: &[&str]) -> Given {
        Line::try_parse_from(["eyot"].iter().chain(arguments)).expect("valid arguments").given
    }

    fn directory_with(file: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join(FILE_NAME), file).expect("the file is written");
        dir
    }

    fn in_dir(dir: &tempfile::TempDir, arguments: &[&str]) -> Outcome<Settings> {
        let given = Given { data_dir: Some(dir.path().to_owned()), ..given(arguments) };
        Settings::resolve(given)
    }

    #[test]
    fn every_default_parses_and_is_as_documented() {
        let dir = directory_with("");
        let settings = in_dir(&dir, &[]).expect("defaults are valid");
        assert_eq!((settings.api_port, settings.mqtts_port, settings.https_port), (4566, 8883, 8443));
        assert_eq!((settings.alpn_port, settings.insecure_mqtt_port), (None, None));
        assert_eq!(settings.api_host, Host(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(settings.account_id.0, "000000000000");
        assert_eq!(settings.limits, LimitsProfile::Aws);
        assert!(!settings.lan && !settings.in_memory);
        assert!(settings.device_host().is_loopback());
        assert_eq!(settings.sntp_port, None);
        assert!(settings.loops() >= 1);
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let dir =
            directory_with("api-port = 1111\nmqtts-port = 2222\nlan = true\nadvertise = [\"a.example\"]\n");
        let settings = in_dir(&dir, &["--api-port", "3333"]).expect("valid");
        assert_eq!((settings.api_port, settings.mqtts_port), (3333, 2222));
        assert!(settings.device_host().is_unspecified(), "lan came from the file");
        assert_eq!(settings.advertise, Some(vec!["a.example".to_owned()]));
        let settings =
            in_dir(&dir, &["--lan=false", "--advertise", "b,c", "--advertise", "d"]).expect("valid");
        assert!(settings.device_host().is_loopback());
        assert_eq!(settings.advertise, Some(vec!["b".to_owned(), "c".to_owned(), "d".to_owned()]));
    }

    #[test]
    fn the_same_definition_names_flag_variable_and_key() {
        let command = Line::command();
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
            let flag = argument.get_long().expect("every setting has a flag");
            let variable = argument.get_env().and_then(|name| name.to_str()).expect("and a variable");
            assert_eq!(variable, format!("EYOT_{}", flag.replace('-', "_").to_uppercase()));
            let help = argument.get_help().expect("and a text").to_string();
            assert!(help.contains("[default: "), "{flag}: {help}");
        }
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        for (file, word) in [
            ("api_port = 1", "api_port"),
            ("api-port = \"x\"", "api-port"),
            ("account-id = \"12\"", "twelve digits"),
            ("limits = \"many\"", "aws, relaxed or none"),
            ("data-dir = \"/x\"", "data-dir"),
            ("[limit]\nsubscriptions = 1", "is it `subscriptions_max`?"),
            ("[limit]\nsubscriptions_max = -1", "whole number"),
            ("[limit]\nsubscriptions_max = [1]", "subscriptions_max"),
            ("limit = [\"subscriptions_max\"]", "NAME=VALUE"),
            ("[limit]\nkeep_alive_min_s = 1201", "keep_alive_min_s is above keep_alive_max_s"),
            ("api-host = \"0.0.0.0\"", "access keys"),
        ] {
            let failure = in_dir(&directory_with(file), &[]).expect_err(file).to_string();
            assert!(failure.contains(word), "{file}: {failure}");
        }
    }

    #[test]
    fn limits_are_changed_one_by_one() {
        let dir = directory_with(
            "limits = \"relaxed\"\n[limit]\nsubscriptions_max = 7\npayload_bytes_max = \"2MiB\"\nretained_on_wildcards = false\n",
        );
        let limits = |arguments: &[&str]| in_dir(&dir, arguments).expect("valid").limits_in_force();
        let of_file = Limits {
            subscriptions_max: 7,
            payload_bytes_max: 2 * 1024 * 1024,
            retained_on_wildcards: false,
            ..Limits::relaxed()
        };
        assert_eq!(limits(&[]), of_file);
        let arguments =
            ["--limit", "subscriptions_max=8,inflight_inbound_max=5", "--limit", "keep_alive_min_s=3"];
        let expected =
            Limits { subscriptions_max: 8, inflight_inbound_max: 5, keep_alive_min_s: 3, ..of_file };
        assert_eq!(limits(&arguments), expected, "what the flags do not name comes from the file");
        assert_eq!(in_dir(&directory_with(""), &[]).expect("valid").limits_in_force(), Limits::aws());
    }

    #[test]
    fn the_api_stays_on_loopback() {
        let dir = directory_with("");
        assert!(in_dir(&dir, &["--api-host", "localhost"]).is_ok());
        assert!(in_dir(&dir, &["--api-host", "::1"]).is_ok());
        let failure = in_dir(&dir, &["--api-host", "0.0.0.0"]).expect_err("refused").to_string();
        assert!(failure.contains("access keys and HTTPS"), "{failure}");
    }

    #[test]
    fn the_insecure_port_stays_on_loopback() {
        let dir = directory_with("");
        let port = "--insecure-mqtt-port";
        assert!(in_dir(&dir, &[port, "1883"]).is_ok());
        for reached in [&["--lan"][..], &["--device-host", "0.0.0.0"], &["--device-host", "192.168.1.7"]] {
            let failure =
                in_dir(&dir, &[&[port, "1883"], reached].concat()).expect_err("refused").to_string();
            assert!(failure.contains("everybody on the network"), "{failure}");
        }
        let failure = in_dir(&dir, &["--insecure-policy", "p.json"]).expect_err("refused").to_string();
        assert!(failure.contains("insecure-mqtt-port"), "{failure}");
    }
}
