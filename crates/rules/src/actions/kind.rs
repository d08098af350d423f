//! The kinds of actions that AWS has.

/// A kind of action. Rules with any of them are stored and returned as they came.
#[derive(Debug, PartialEq, Eq)]
pub struct ActionKind {
    /// The member of the action object.
    pub name: &'static str,
    /// What error reports call it. [AWS rule-error-handling] shows `S3Action`; the others follow its pattern.
    pub class: &'static str,
}

impl ActionKind {
    /// Every kind. [AWS iot API] "Action"
    pub const ALL: [Self; 24] = [
        Self { name: "cloudwatchAlarm", class: "CloudwatchAlarmAction" },
        Self { name: "cloudwatchLogs", class: "CloudwatchLogsAction" },
        Self { name: "cloudwatchMetric", class: "CloudwatchMetricAction" },
        Self { name: "dynamoDB", class: "DynamoAction" },
        Self { name: "dynamoDBv2", class: "DynamoV2Action" },
        Self { name: "elasticsearch", class: "ElasticsearchAction" },
        Self { name: "firehose", class: "FirehoseAction" },
        Self { name: "http", class: "HttpAction" },
        Self { name: "influxDB", class: "InfluxDBAction" },
        Self { name: "iotAnalytics", class: "IotAnalyticsAction" },
        Self { name: "iotEvents", class: "IotEventsAction" },
        Self { name: "iotSiteWise", class: "IotSiteWiseAction" },
        Self { name: "kafka", class: "KafkaAction" },
        Self { name: "kinesis", class: "KinesisAction" },
        Self { name: "lambda", class: "LambdaAction" },
        Self { name: "location", class: "LocationAction" },
        Self { name: "openSearch", class: "OpenSearchAction" },
        Self { name: "republish", class: "RepublishAction" },
        Self { name: "s3", class: "S3Action" },
        Self { name: "salesforce", class: "SalesforceAction" },
        Self { name: "sns", class: "SnsAction" },
        Self { name: "sqs", class: "SqsAction" },
        Self { name: "stepFunctions", class: "StepFunctionsAction" },
        Self { name: "timestream", class: "TimestreamAction" },
    ];

    /// The kind called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        const { &Self::ALL }.iter().find(|kind| kind.name == name)
    }
}
