//! Who is calling.

use aws_model::shapes::sts::GetCallerIdentityRequest;

use crate::dispatch::Call;
use crate::error::ApiError;
use crate::reply::{Reply, xml_text};

/// The account's root user: there are no others.
pub(super) async fn get_caller_identity(call: &Call, _: GetCallerIdentityRequest) -> Result<Reply, ApiError> {
    let account = xml_text(&call.parts().registry.identity().account_id);
    Ok(Reply::xml(
        200,
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::{account}:root</Arn><UserId>{account}</UserId><Account>{account}</Account>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>",
            call.request_id
        ),
    ))
}
