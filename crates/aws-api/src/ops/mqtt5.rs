//! Properties of MQTT 5 as the data plane's requests and answers have them.

use aws_model::shapes::iot_data::PublishRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mqtt_wire::{Properties, PropertiesWriter, Property, TopicName};
use serde_json::{Map, Value};

use crate::error::ApiError;

/// What a property has beside its texts, at most: an identifier and two lengths.
const PROPERTY_OVERHEAD_BYTES: usize = 8;

/// The members of Publish that are properties, as a block. `room` holds them.
///
/// # Errors
/// InvalidRequestException: a value that is not what its member takes.
pub(super) fn properties<'r>(
    input: &PublishRequest,
    room: &'r mut Vec<u8>,
) -> Result<Properties<'r>, ApiError> {
    let correlation_data = input.correlation_data.as_deref().map(decode("correlationData")).transpose()?;
    let user_properties = input.user_properties.as_deref().map(parse_user_properties).transpose()?;
    let user_properties = user_properties.unwrap_or_default();
    let mut found = Vec::new();
    if input.payload_format_indicator.as_deref() == Some("UTF8_DATA") {
        found.push(Property::PayloadFormatIsUtf8(true));
    }
    if let Some(expiry_s) = input.message_expiry {
        let expiry_s = u32::try_from(expiry_s).map_err(|_| invalid("messageExpiry"))?;
        found.push(Property::MessageExpiryIntervalS(expiry_s));
    }
    found.extend(input.content_type.as_deref().map(Property::ContentType));
    if let Some(topic) = &input.response_topic {
        found.push(Property::ResponseTopic(TopicName::parse(topic).map_err(|_| invalid("responseTopic"))?));
    }
    found.extend(correlation_data.as_deref().map(Property::CorrelationData));
    found.extend(user_properties.iter().map(|(name, value)| Property::UserProperty(name, value)));

    let texts = [&input.content_type, &input.response_topic].into_iter().flatten().map(String::len);
    let texts = texts.chain(user_properties.iter().map(|(name, value)| name.len() + value.len()));
    let bytes = texts.sum::<usize>() + correlation_data.as_ref().map_or(0, Vec::len);
    room.resize(bytes + found.len() * PROPERTY_OVERHEAD_BYTES, 0);
    let mut writer = PropertiesWriter::new(room);
    for property in found {
        writer.push(property).map_err(|error| ApiError::invalid(error.to_string()))?;
    }
    Ok(writer.finish())
}

/// `[{"name": "value"}, …]`, in base64. [captured from boto3] It sends a JSON text that holds that JSON.
fn parse_user_properties(text: &str) -> Result<Vec<(String, String)>, ApiError> {
    let wrong = || invalid("userProperties");
    let json = decode("userProperties")(text)?;
    let mut value: Value = serde_json::from_slice(&json).map_err(|_| wrong())?;
    if let Value::String(inner) = &value {
        value = serde_json::from_str(inner).map_err(|_| wrong())?;
    }
    let Value::Array(entries) = value else { return Err(wrong()) };
    let mut found = Vec::new();
    for entry in entries {
        let Value::Object(members) = entry else { return Err(wrong()) };
        for (name, value) in members {
            let Value::String(value) = value else { return Err(wrong()) };
            found.push((name, value));
        }
    }
    Ok(found)
}

/// The user properties of a kept message, as GetRetainedMessage gives them; `None` when there are none.
pub(super) fn user_properties_of(properties: &Properties<'_>) -> Option<String> {
    let entries: Vec<Value> = properties
        .user_properties()
        .map(|(name, value)| Value::Object(Map::from_iter([(name.to_owned(), value.into())])))
        .collect();
    (!entries.is_empty()).then(|| STANDARD.encode(Value::Array(entries).to_string()))
}

fn decode(member: &'static str) -> impl Fn(&str) -> Result<Vec<u8>, ApiError> {
    move |text| STANDARD.decode(text).map_err(|_| invalid(member))
}

fn invalid(member: &str) -> ApiError {
    ApiError::invalid(format!("{member} cannot be used"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_properties_in_both_forms() {
        let plain = STANDARD.encode(r#"[{"a": "b"}, {"a": "c"}]"#);
        let text_in_text = "Ilt7XCJhXCI6IFwiYlwifV0i";
        let expected = [("a".to_owned(), "b".to_owned()), ("a".to_owned(), "c".to_owned())];
        assert_eq!(parse_user_properties(&plain).unwrap(), expected);
        assert_eq!(parse_user_properties(text_in_text).unwrap(), expected[..1]);
        for wrong in ["%", &STANDARD.encode("{"), &STANDARD.encode("{}"), &STANDARD.encode(r#"[{"a":1}]"#)] {
            assert!(parse_user_properties(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_member_becomes_its_property() {
        let input = PublishRequest {
            content_type: Some("text/plain".to_owned()),
            correlation_data: Some(STANDARD.encode(b"\0\x01")),
            message_expiry: Some(60),
            payload_format_indicator: Some("UTF8_DATA".to_owned()),
            response_topic: Some("a/b".to_owned()),
            user_properties: Some(STANDARD.encode(r#"[{"unit": "C"}]"#)),
            ..PublishRequest::default()
        };
        let mut room = Vec::new();
        let made = properties(&input, &mut room).unwrap();
        assert_eq!((made.content_type(), made.correlation_data()), (Some("text/plain"), Some(&[0, 1][..])));
        assert_eq!((made.message_expiry_interval_s(), made.payload_format_is_utf8()), (Some(60), true));
        assert_eq!(made.response_topic().map(|topic| topic.as_str().to_owned()).as_deref(), Some("a/b"));
        let shown = user_properties_of(&made).unwrap();
        assert_eq!(STANDARD.decode(shown).unwrap(), br#"[{"unit":"C"}]"#);
        let wrong = PublishRequest { response_topic: Some("a/#".to_owned()), ..PublishRequest::default() };
        assert!(properties(&wrong, &mut Vec::new()).is_err());
        let none = PublishRequest::default();
        assert!(properties(&none, &mut Vec::new()).unwrap().is_empty());
    }
}
