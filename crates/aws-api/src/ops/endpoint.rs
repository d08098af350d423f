//! Where devices connect.

use aws_model::shapes::iot::{DescribeEndpointRequest, DescribeEndpointResponse};

use crate::dispatch::Call;
use crate::error::ApiError;

/// Endpoint types. All are served on the same name. [AWS iot DescribeEndpoint]
///
/// AWS refuses `iot:Data` and `iot:Jobs` by now (verified.md 41); older tools still ask for them.
const TYPES: [&str; 4] = ["iot:Data-ATS", "iot:Data", "iot:CredentialProvider", "iot:Jobs"];

pub(super) async fn describe_endpoint(
    call: &Call,
    input: DescribeEndpointRequest,
) -> Result<DescribeEndpointResponse, ApiError> {
    if let Some(kind) = input.endpoint_type.filter(|kind| !TYPES.contains(&kind.as_str())) {
        return Err(ApiError::invalid(format!(
            "1 validation error detected: Value '{kind}' at 'endpointType' failed to satisfy constraint: Member must \
             satisfy enum value set: [{}]",
            TYPES.join(", ")
        )));
    }
    Ok(DescribeEndpointResponse { endpoint_address: Some(call.parts().endpoint.clone()) })
}
