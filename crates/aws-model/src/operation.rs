//! Services, their operations and errors.

use crate::{Shape, generated};

/// A service that shares our port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// AWS IoT Core, control plane.
    Iot,
    /// AWS IoT Core, data plane.
    IotData,
    /// AWS IoT jobs, data plane.
    IotJobsData,
    /// CloudWatch Logs.
    Logs,
    /// Security Token Service.
    Sts,
}

/// How a service puts requests and answers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Paths and methods name operations; JSON bodies.
    RestJson,
    /// `X-Amz-Target` names the operation; JSON bodies.
    Json11,
    /// The form parameter `Action` names the operation; XML answers.
    Query,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Iot, Self::IotData, Self::IotJobsData, Self::Logs, Self::Sts];

    /// Every operation that AWS has, served here or not.
    pub fn operations(self) -> &'static [Operation] {
        match self {
            Self::Iot => generated::iot::OPERATIONS,
            Self::IotData => generated::iot_data::OPERATIONS,
            Self::IotJobsData => generated::iot_jobs_data::OPERATIONS,
            Self::Logs => generated::logs::OPERATIONS,
            Self::Sts => generated::sts::OPERATIONS,
        }
    }

    /// The operation of this name.
    pub fn operation(self, name: &str) -> Option<&'static Operation> {
        let operations = self.operations();
        operations.binary_search_by(|operation| operation.name.cmp(name)).ok().map(|index| &operations[index])
    }

    /// Every error that some operation of the service may give.
    pub fn errors(self) -> &'static [ErrorShape] {
        match self {
            Self::Iot => generated::iot::ERRORS,
            Self::IotData => generated::iot_data::ERRORS,
            Self::IotJobsData => generated::iot_jobs_data::ERRORS,
            Self::Logs => generated::logs::ERRORS,
            Self::Sts => generated::sts::ERRORS,
        }
    }

    /// The HTTP status of an error by its code, if the service has such an error.
    pub fn error_status(self, code: &str) -> Option<u16> {
        self.errors().iter().find(|error| error.code == code).map(|error| error.status)
    }

    /// The service's name in a SigV4 credential scope.
    pub fn signing_name(self) -> &'static str {
        match self {
            Self::Iot => "iot",
            Self::IotData => "iotdata",
            Self::IotJobsData => "iot-jobs-data",
            Self::Logs => "logs",
            Self::Sts => "sts",
        }
    }

    /// The service's name in botocore, the AWS CLI and our documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iot => "iot",
            Self::IotData => "iot-data",
            Self::IotJobsData => "iot-jobs-data",
            Self::Logs => "logs",
            Self::Sts => "sts",
        }
    }

    /// How it talks.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Iot | Self::IotData | Self::IotJobsData => Protocol::RestJson,
            Self::Logs => Protocol::Json11,
            Self::Sts => Protocol::Query,
        }
    }

    /// The error code for an input that breaks the model's constraints.
    pub fn validation_code(self) -> &'static str {
        match self {
            Self::Iot | Self::IotData | Self::IotJobsData => "InvalidRequestException",
            Self::Logs => "InvalidParameterException",
            Self::Sts => "ValidationError",
        }
    }

    /// Whether messages about wrong values repeat the value.
    ///
    /// [AWS logs] verified.md 140: CloudWatch Logs does not; IoT does.
    pub(crate) fn repeats_values(self) -> bool {
        self != Self::Logs
    }
}

/// An operation of a service.
#[derive(Debug)]
pub struct Operation {
    /// Whose it is.
    pub service: Service,
    /// Its name.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path with `{labels}`; `{label+}` takes slashes too.
    pub path: &'static str,
    /// What it takes: a structure.
    pub input: &'static Shape,
    /// Whether its answer has a body.
    pub has_output: bool,
    /// Codes of its errors, as the model lists them.
    pub errors: &'static [&'static str],
}

/// An error of a service.
#[derive(Debug)]
pub struct ErrorShape {
    /// Its code.
    pub code: &'static str,
    /// Its HTTP status.
    pub status: u16,
}
