//! From method, path and headers to an operation.
//!
//! Paths are matched as they are sent and their labels decoded afterwards: a `%2F` in a label is no separator. Three
//! paths mean different operations in different services; the service in the signature's scope tells which.

use std::collections::HashMap;

use aws_model::{Operation, Protocol, Service};
use percent_encoding::percent_decode_str;

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum Route {
    /// An operation, with the labels of its path, decoded.
    Operation(&'static Operation, Vec<(&'static str, String)>),
    /// AWS has no such operation. The service says in which protocol to answer.
    Unknown(Service),
    /// A label is no percent-encoded text in UTF-8.
    BadLabel(Service),
}

/// All paths of the REST services.
#[derive(Debug)]
pub(crate) struct Router {
    /// By method; more literal paths first.
    paths: HashMap<&'static str, Vec<Path>>,
}

#[derive(Debug)]
struct Path {
    segments: Vec<Segment>,
    operation: &'static Operation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(&'static str),
    Label(&'static str),
    /// Takes all that is left, slashes too.
    Rest(&'static str),
}

/// What is known of a request when it is routed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    /// As sent.
    pub(crate) path: &'a str,
    /// `X-Amz-Target`.
    pub(crate) target: Option<&'a str>,
    /// The service in the signature's scope.
    pub(crate) signed_for: Option<&'a str>,
    /// The parameter `Action` of the query protocol.
    pub(crate) action: Option<&'a str>,
}

impl Router {
    /// The paths of all operations in the tables, those that are not served included.
    pub(crate) fn new() -> Self {
        let mut paths: HashMap<&'static str, Vec<Path>> = HashMap::new();
        let services = Service::ALL.into_iter().filter(|service| service.protocol() == Protocol::RestJson);
        for operation in services.flat_map(Service::operations) {
            let segments =
                operation.path.trim_start_matches('/').split('/').map(|text| segment(operation, text));
            paths.entry(operation.method).or_default().push(Path { segments: segments.collect(), operation });
        }
        for paths in paths.values_mut() {
            // A stable sort: of equal paths, the order of `Service::ALL` stays.
            paths.sort_by(|one, other| kinds(&one.segments).cmp(&kinds(&other.segments)));
        }
        Self { paths }
    }

    /// Finds the operation.
    pub(crate) fn route(&self, asked: &Asked<'_>) -> Route {
        if asked.path == "/" && asked.method == "POST" {
            return by_name(asked);
        }
        let raw: Vec<&str> = asked.path.strip_prefix('/').unwrap_or(asked.path).split('/').collect();
        let candidates = self.paths.get(asked.method).map(Vec::as_slice).unwrap_or_default();
        let mut matching = candidates.iter().filter(|path| path.matches(&raw)).peekable();
        let Some(first) = matching.peek().copied() else { return Route::Unknown(Service::Iot) };
        let shape = kinds(&first.segments);
        let mut equal = matching.take_while(|path| kinds(&path.segments) == shape);
        let signed_for = equal
            .find(|path| Some(path.operation.service.signing_name()) == asked.signed_for)
            .unwrap_or(first);
        signed_for.labels(&raw)
    }
}

fn by_name(asked: &Asked<'_>) -> Route {
    let is_sts = asked.signed_for == Some("sts") || asked.action.is_some();
    if asked.target.is_none() && is_sts {
        let operation = asked.action.and_then(|action| Service::Sts.operation(action));
        return operation
            .map_or(Route::Unknown(Service::Sts), |operation| Route::Operation(operation, Vec::new()));
    }
    if asked.target.is_none() && asked.signed_for != Some("logs") {
        return Route::Unknown(Service::Iot);
    }
    // [AWS logs] The version of the API is part of the target.
    let name = asked.target.and_then(|target| target.strip_prefix("Logs_20140328."));
    let operation = name.and_then(|name| Service::Logs.operation(name));
    operation.map_or(Route::Unknown(Service::Logs), |operation| Route::Operation(operation, Vec::new()))
}

fn segment(operation: &Operation, text: &'static str) -> Segment {
    let Some(label) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return Segment::Literal(text);
    };
    match label.strip_suffix('+') {
        Some(label) => Segment::Rest(label),
        // Devices send topics with plain slashes; SDKs encode them. aws-map 4.2
        None if operation.service == Service::IotData && operation.name == "Publish" => Segment::Rest(label),
        None => Segment::Label(label),
    }
}

/// Literal before label before rest, segment by segment.
fn kinds(segments: &[Segment]) -> Vec<(u8, &'static str)> {
    let kind = |segment: &Segment| match *segment {
        Segment::Literal(text) => (0, text),
        Segment::Label(_) => (1, ""),
        Segment::Rest(_) => (2, ""),
    };
    segments.iter().map(kind).collect()
}

impl Path {
    fn matches(&self, raw: &[&str]) -> bool {
        let rest = matches!(self.segments.last(), Some(Segment::Rest(_)));
        if if rest { raw.len() < self.segments.len() } else { raw.len() != self.segments.len() } {
            return false;
        }
        self.segments.iter().zip(raw).all(|(segment, raw)| match segment {
            Segment::Literal(text) => text == raw,
            Segment::Label(_) | Segment::Rest(_) => !raw.is_empty(),
        })
    }

    fn labels(&self, raw: &[&str]) -> Route {
        let mut labels = Vec::new();
        for (index, segment) in self.segments.iter().enumerate() {
            let (name, text) = match *segment {
                Segment::Literal(_) => continue,
                Segment::Label(name) => (name, raw[index].to_owned()),
                Segment::Rest(name) => (name, raw[index..].join("/")),
            };
            match decoded(&text) {
                Some(decoded) => labels.push((name, decoded)),
                None => return Route::BadLabel(self.operation.service),
            }
        }
        Route::Operation(self.operation, labels)
    }
}

/// The text that a part of a path stands for, if it stands for one.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut escapes = text.split('%').skip(1);
    let is_hex = |escape: &str| {
        escape.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_hex) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(|decoded| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str, signed_for: Option<&str>) -> Route {
        Router::new().route(&Asked { method, path, target: None, signed_for, action: None })
    }

    fn named(method: &str, path: &str) -> (String, Vec<String>) {
        match route(method, path, None) {
            Route::Operation(operation, labels) => {
                (operation.name.to_owned(), labels.into_iter().map(|(_, value)| value).collect())
            }
            other => (format!("{other:?}"), Vec::new()),
        }
    }

    #[test]
    fn literal_paths_come_before_labels() {
        assert_eq!(named("GET", "/things"), ("ListThings".to_owned(), vec![]));
        assert_eq!(named("GET", "/things/a"), ("DescribeThing".to_owned(), vec!["a".to_owned()]));
        assert_eq!(named("GET", "/principals/things").0, "ListPrincipalThings");
        assert_eq!(named("PUT", "/thing-groups/addThingToThingGroup").0, "AddThingToThingGroup");
        assert_eq!(named("POST", "/certificate/register-no-ca").0, "RegisterCertificateWithoutCA");
        assert_eq!(named("PATCH", "/policies/p/version/3").1, ["p", "3"]);
        assert_eq!(
            named("GET", "/api/things/shadow/ListNamedShadowsForThing/t").0,
            "ListNamedShadowsForThing"
        );
    }

    #[test]
    fn labels_are_decoded_after_routing() {
        assert_eq!(named("GET", "/things/x%3Ay").1, ["x:y"]);
        assert_eq!(
            named("POST", "/attached-policies/arn%3Aaws%3Aiot%3Ar%3A1%3Acert%2Fabc"),
            ("ListAttachedPolicies".to_owned(), vec!["arn:aws:iot:r:1:cert/abc".to_owned()])
        );
        assert_eq!(named("GET", "/things/..%2f..%2fetc").1, ["../../etc"]);
        for broken in ["%ff%fe", "%zz", "a%", "%4", "%é"] {
            let route = route("GET", &format!("/things/{broken}"), None);
            assert!(matches!(route, Route::BadLabel(Service::Iot)), "{broken}");
        }
    }

    #[test]
    fn topics_may_have_plain_slashes() {
        let encoded = named("POST", "/topics/%24aws%2Frules%2Ftelemetry%2Fpico%20w");
        assert_eq!(encoded, ("Publish".to_owned(), vec!["$aws/rules/telemetry/pico w".to_owned()]));
        assert_eq!(named("POST", "/topics/my/topic").1, ["my/topic"]);
        assert_eq!(named("POST", "/topics/a//b/").1, ["a//b/"]);
        assert!(named("POST", "/topics/").0.contains("Unknown"));
    }

    #[test]
    fn the_scope_decides_where_services_collide() {
        let name = |method, path, scope| match route(method, path, scope) {
            Route::Operation(operation, _) => (operation.service, operation.name),
            other => panic!("{other:?}"),
        };
        let jobs = Some("iot-jobs-data");
        assert_eq!(name("GET", "/things/t/jobs", Some("iot")), (Service::Iot, "ListJobExecutionsForThing"));
        assert_eq!(name("GET", "/things/t/jobs", jobs), (Service::IotJobsData, "GetPendingJobExecutions"));
        assert_eq!(name("GET", "/things/t/jobs", None).0, Service::Iot);
        assert_eq!(name("GET", "/things/t/jobs/j", jobs), (Service::IotJobsData, "DescribeJobExecution"));
        assert_eq!(
            name("POST", "/command-executions", jobs),
            (Service::IotJobsData, "StartCommandExecution")
        );
        assert_eq!(name("PUT", "/things/x/jobs/$next", None).1, "StartNextPendingJobExecution");
    }

    #[test]
    fn no_other_two_operations_collide() {
        let router = Router::new();
        let mut collisions = Vec::new();
        for (method, paths) in &router.paths {
            for pair in paths.windows(2) {
                if kinds(&pair[0].segments) == kinds(&pair[1].segments) {
                    collisions.push((*method, pair[0].operation.path));
                }
            }
        }
        collisions.sort_unstable();
        let known = [
            ("GET", "/things/{thingName}/jobs"),
            ("GET", "/things/{thingName}/jobs/{jobId}"),
            ("POST", "/command-executions"),
        ];
        assert_eq!(collisions, known);
    }

    #[test]
    fn every_operation_is_reached_by_its_own_path() {
        let router = Router::new();
        for service in [Service::Iot, Service::IotData, Service::IotJobsData] {
            for operation in service.operations() {
                let path: Vec<_> = operation
                    .path
                    .split('/')
                    .map(|segment| if segment.starts_with('{') { "x" } else { segment })
                    .collect();
                let path = path.join("/");
                let signed_for = Some(service.signing_name());
                let asked =
                    Asked { method: operation.method, path: &path, target: None, signed_for, action: None };
                match router.route(&asked) {
                    Route::Operation(found, _) => {
                        assert_eq!((found.service, found.name), (service, operation.name), "{path}");
                    }
                    other => panic!("{path}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn operations_by_name() {
        let router = Router::new();
        let post = |target, signed_for, action| {
            let asked = Asked { method: "POST", path: "/", target, signed_for, action };
            match router.route(&asked) {
                Route::Operation(operation, _) => operation.name.to_owned(),
                Route::Unknown(service) => service.name().to_owned(),
                Route::BadLabel(_) => unreachable!("there are no labels"),
            }
        };
        assert_eq!(post(Some("Logs_20140328.CreateLogGroup"), Some("logs"), None), "CreateLogGroup");
        for target in
            ["Logs_20140328.NoSuchThing", "Logs_20140328.", "Nonsense", "", "DynamoDB_20120810.ListTables"]
        {
            assert_eq!(post(Some(target), Some("logs"), None), "logs", "{target}");
        }
        assert_eq!(post(None, Some("logs"), None), "logs");
        assert_eq!(post(None, Some("sts"), Some("GetCallerIdentity")), "GetCallerIdentity");
        assert_eq!(post(None, Some("sts"), Some("Nonsense")), "sts");
        assert_eq!(post(None, Some("sts"), None), "sts");
        assert_eq!(post(None, Some("iot"), None), "iot");
    }

    #[test]
    fn unknown_paths() {
        for (method, path) in [
            ("GET", "/no/such/path"),
            ("PUT", "/"),
            ("DELETE", "/things"),
            ("BREW", "/things"),
            ("GET", "/%"),
            ("GET", "//things"),
            ("GET", "/things/"),
            ("GET", "/"),
            ("GET", "*"),
            ("GET", ""),
        ] {
            assert!(matches!(route(method, path, None), Route::Unknown(Service::Iot)), "{method} {path}");
        }
    }
}
