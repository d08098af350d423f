//! Principals of things, and things of principals.

use aws_model::shapes::iot::{
    AttachThingPrincipalRequest, AttachThingPrincipalResponse, DetachThingPrincipalRequest,
    DetachThingPrincipalResponse, ListPrincipalThingsRequest, ListPrincipalThingsResponse,
    ListPrincipalThingsV2Request, ListPrincipalThingsV2Response, ListThingPrincipalsRequest,
    ListThingPrincipalsResponse, ListThingPrincipalsV2Request, ListThingPrincipalsV2Response,
    PrincipalThingObject, ThingPrincipalObject,
};
use registry::AttachmentKind;

use super::page_size;
use crate::dispatch::Call;
use crate::error::ApiError;
use crate::token;

pub(super) async fn attach_thing_principal(
    call: &Call,
    input: AttachThingPrincipalRequest,
) -> Result<AttachThingPrincipalResponse, ApiError> {
    let kind = kind(input.thing_principal_type.as_ref());
    let done = call.parts().registry.attach_thing_principal(&input.thing_name, &input.principal, kind)?;
    call.settled(done).await?;
    Ok(AttachThingPrincipalResponse {})
}

pub(super) async fn detach_thing_principal(
    call: &Call,
    input: DetachThingPrincipalRequest,
) -> Result<DetachThingPrincipalResponse, ApiError> {
    let done = call.parts().registry.detach_thing_principal(&input.thing_name, &input.principal)?;
    call.settled(done).await?;
    Ok(DetachThingPrincipalResponse {})
}

pub(super) async fn list_thing_principals(
    call: &Call,
    input: ListThingPrincipalsRequest,
) -> Result<ListThingPrincipalsResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.next_token.as_ref())?;
    let limit = page_size(input.max_results);
    let page =
        call.parts().registry.list_thing_principals(&input.thing_name, None, after.as_deref(), limit)?;
    Ok(ListThingPrincipalsResponse {
        principals: page.items.into_iter().map(|item| item.principal).collect(),
        next_token: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

pub(super) async fn list_thing_principals_v2(
    call: &Call,
    input: ListThingPrincipalsV2Request,
) -> Result<ListThingPrincipalsV2Response, ApiError> {
    let after = token::decode_option(call.operation.name, input.next_token.as_ref())?;
    let kind = kind(input.thing_principal_type.as_ref());
    let limit = page_size(input.max_results);
    let page =
        call.parts().registry.list_thing_principals(&input.thing_name, kind, after.as_deref(), limit)?;
    let objects = page.items.into_iter().map(|item| ThingPrincipalObject {
        principal: item.principal,
        thing_principal_type: Some(item.kind.name().to_owned()),
    });
    Ok(ListThingPrincipalsV2Response {
        thing_principal_objects: objects.collect(),
        next_token: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

pub(super) async fn list_principal_things(
    call: &Call,
    input: ListPrincipalThingsRequest,
) -> Result<ListPrincipalThingsResponse, ApiError> {
    let after = token::decode_option(call.operation.name, input.next_token.as_ref())?;
    let limit = page_size(input.max_results);
    let page =
        call.parts().registry.list_principal_things(&input.principal, None, after.as_deref(), limit)?;
    Ok(ListPrincipalThingsResponse {
        things: page.items.into_iter().map(|item| item.thing_name.to_string()).collect(),
        next_token: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

pub(super) async fn list_principal_things_v2(
    call: &Call,
    input: ListPrincipalThingsV2Request,
) -> Result<ListPrincipalThingsV2Response, ApiError> {
    let after = token::decode_option(call.operation.name, input.next_token.as_ref())?;
    let kind = kind(input.thing_principal_type.as_ref());
    let limit = page_size(input.max_results);
    let page =
        call.parts().registry.list_principal_things(&input.principal, kind, after.as_deref(), limit)?;
    let objects = page.items.into_iter().map(|item| PrincipalThingObject {
        thing_name: item.thing_name.to_string(),
        thing_principal_type: Some(item.kind.name().to_owned()),
    });
    Ok(ListPrincipalThingsV2Response {
        principal_thing_objects: objects.collect(),
        next_token: page.next.map(|key| token::encode(call.operation.name, &key)),
    })
}

/// The model lets no other names through.
fn kind(name: Option<&String>) -> Option<AttachmentKind> {
    name.and_then(|name| AttachmentKind::parse(name))
}
