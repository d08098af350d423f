//! SUBSCRIBE: a client asks for messages [MQTT311 3.8] [MQTT5 3.8].

use super::subscription_options::SubscriptionOptions;
use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::packet_id::PacketId;
use crate::properties::{Carrier, Properties};
use crate::reader::Reader;
use crate::topic::{SHARE_PREFIX, TopicFilter};
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// A request for the messages of one or more topic filters.
///
/// ```text
/// body    := packet_id:u16 [properties] request{1..}      ; properties: MQTT 5
/// request := filter:text options:u8
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Comes back in the SUBACK.
    pub packet_id: PacketId,
    /// MQTT 5: the number under which the messages come.
    pub properties: Properties<'a>,
    /// What is asked for; at least one.
    pub filters: SubscribeFilters<'a>,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterRequest<'a> {
    /// Which topics.
    pub filter: TopicFilter<'a>,
    /// How their messages come.
    ///
    /// MQTT 3.1.1 has the QoS alone. Other options do not encode there: without them other messages would come.
    pub options: SubscriptionOptions,
}

/// The filters of a SUBSCRIBE, read from the packet while iterating or taken from a slice for sending.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeFilters<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// INVARIANT: has passed `decode`, so every request in it reads without an error.
    Wire(&'a [u8]),
    List(&'a [FilterRequest<'a>]),
}

impl<'a> SubscribeFilters<'a> {
    /// Filters for a packet to send.
    pub const fn from_slice(requests: &'a [FilterRequest<'a>]) -> Self {
        Self(Source::List(requests))
    }

    /// The requests in the packet's order.
    pub fn iter(&self) -> impl Iterator<Item = FilterRequest<'a>> + use<'a> {
        let (wire, list): (&[u8], &[_]) = match self.0 {
            Source::Wire(bytes) => (bytes, &[]),
            Source::List(requests) => (&[], requests),
        };
        let mut wire = Reader::new(wire);
        core::iter::from_fn(move || read_request(&mut wire)).chain(list.iter().copied())
    }

    /// How many filters there are. Walks the packet.
    #[expect(clippy::len_without_is_empty, reason = "a SUBSCRIBE without filters does not decode")]
    pub fn len(&self) -> usize {
        self.iter().count()
    }
}

impl PartialEq for SubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscribeFilters<'_> {}

impl<'a> Subscribe<'a> {
    pub(super) fn decode(version: ProtocolVersion, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        let properties = match version {
            ProtocolVersion::V311 => Properties::NONE,
            ProtocolVersion::V5 => Properties::decode(body, Carrier::Packet(PacketKind::Subscribe))?,
        };
        let requests = body.rest();
        // [MQTT311 3.8.3-3] [MQTT5 3.8.3-2] At least one filter.
        if requests.is_empty() {
            return Err(DecodeError::NoFilters);
        }
        while !body.is_empty() {
            let request = decode_request(version, body)?;
            if request.is_no_local_shared() {
                return Err(DecodeError::NoLocalShared);
            }
        }
        Ok(Self { packet_id, properties, filters: SubscribeFilters(Source::Wire(requests)) })
    }

    pub(super) fn encode_body(
        &self,
        version: ProtocolVersion,
        writer: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        if self.filters.iter().next().is_none() {
            return Err(EncodeError::NoFilters);
        }
        writer.packet_id(self.packet_id);
        if version == ProtocolVersion::V5 {
            self.properties.encode(Carrier::Packet(PacketKind::Subscribe), writer)?;
        }
        for request in self.filters.iter() {
            let options = request.options;
            if version == ProtocolVersion::V311 && options != SubscriptionOptions::at_most(options.qos) {
                return Err(EncodeError::NotIn311 { what: "subscription options beside the QoS" });
            }
            if request.is_no_local_shared() {
                return Err(EncodeError::NoLocalShared);
            }
            writer.binary("topic filter", request.filter.as_str().as_bytes())?;
            writer.u8(options.byte());
        }
        Ok(())
    }

    pub(super) fn remaining_bytes(&self, version: ProtocolVersion) -> usize {
        let requests = self.filters.iter().map(|request| 2 + request.filter.as_str().len() + 1);
        2 + self.properties.encoded_len_in(version) + requests.sum::<usize>()
    }
}

impl FilterRequest<'_> {
    /// [MQTT5 3.8.3-4] Nobody knows whose own messages a group's member would not get.
    fn is_no_local_shared(&self) -> bool {
        self.options.no_local && self.filter.starts_with(SHARE_PREFIX)
    }
}

fn decode_request<'a>(
    version: ProtocolVersion,
    body: &mut Reader<'a>,
) -> Result<FilterRequest<'a>, DecodeError> {
    let filter = TopicFilter::decode(body)?;
    let options = SubscriptionOptions::decode(body.u8("requested QoS")?, version)?;
    Ok(FilterRequest { filter, options })
}

/// The next request of a body that `decode` has accepted. What 3.1.1 accepts means the same in MQTT 5.
fn read_request<'a>(body: &mut Reader<'a>) -> Option<FilterRequest<'a>> {
    if body.is_empty() { None } else { decode_request(ProtocolVersion::V5, body).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::subscription_options::RetainHandling;
    use crate::packet::{Packet, decode};
    use crate::properties::{PropertiesWriter, Property};
    use crate::qos::QoS;
    use crate::subscription_id::SubscriptionId;
    use crate::topic::TopicFilterError;
    use ProtocolVersion::{V5, V311};

    const TWO: &[u8] = b"\x82\x0c\0\x07\0\x03a/#\x01\0\x01+\0";

    fn request(filter: &str, qos: QoS) -> FilterRequest<'_> {
        FilterRequest {
            filter: TopicFilter::parse(filter).unwrap(),
            options: SubscriptionOptions::at_most(qos),
        }
    }

    fn packet<'a>(requests: &'a [FilterRequest<'a>], properties: Properties<'a>) -> Packet<'a> {
        let filters = SubscribeFilters::from_slice(requests);
        Packet::Subscribe(Subscribe { packet_id: PacketId::new(7).unwrap(), properties, filters })
    }

    #[test]
    fn two_filters_byte_for_byte() {
        let requests = [request("a/#", QoS::AtLeastOnce), request("+", QoS::AtMostOnce)];
        let packet = packet(&requests, Properties::NONE);
        let mut out = [0; 32];
        assert_eq!(packet.encode(V311, &mut out), Ok(TWO.len()));
        assert_eq!(&out[..TWO.len()], TWO);
        assert_eq!(decode(TWO, V311, 32), Ok(Some((packet, TWO.len()))));
        let Ok(Some((Packet::Subscribe(subscribe), _))) = decode(TWO, V311, 32) else {
            panic!("not a subscribe")
        };
        assert_eq!(subscribe.filters.len(), 2);
    }

    #[test]
    fn every_option_of_mqtt_5_byte_for_byte() {
        let mut block = [0; 8];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::SubscriptionIdentifier(SubscriptionId::new(300).unwrap())).unwrap();
        let options = SubscriptionOptions {
            qos: QoS::ExactlyOnce,
            no_local: true,
            retain_as_published: true,
            retain_handling: RetainHandling::DoNotSend,
        };
        let requests = [FilterRequest { options, ..request("a", QoS::AtMostOnce) }];
        let packet = packet(&requests, writer.finish());
        let bytes = b"\x82\x0a\0\x07\x03\x0b\xac\x02\0\x01a\x2e";
        let mut out = [0; 32];
        assert_eq!(packet.encode(V5, &mut out), Ok(bytes.len()));
        assert_eq!(&out[..bytes.len()], bytes);
        assert_eq!(decode(bytes, V5, 32), Ok(Some((packet, bytes.len()))));
        let what = "subscription options beside the QoS";
        assert_eq!(packet.encode(V311, &mut out), Err(EncodeError::NotIn311 { what }));
    }

    /// [MQTT311 3.8.3-3] [MQTT5 3.8.3-2]
    #[test]
    fn no_filter_is_refused() {
        assert_eq!(decode(b"\x82\x02\0\x07", V311, 32), Err(DecodeError::NoFilters));
        assert_eq!(decode(b"\x82\x03\0\x07\0", V5, 32), Err(DecodeError::NoFilters));
        for version in [V311, V5] {
            let refused = packet(&[], Properties::NONE).encode(version, &mut [0; 32]);
            assert_eq!(refused, Err(EncodeError::NoFilters));
        }
    }

    /// [MQTT311 3.8.3-4]
    #[test]
    fn reserved_bits_beside_the_qos_are_refused() {
        for value in [3, 4, 0x80] {
            let bytes = [0x82, 6, 0, 7, 0, 1, b'a', value];
            let expected = Err(DecodeError::InvalidQoS { field: "requested QoS", value });
            assert_eq!(decode(&bytes, V311, 32), expected);
        }
    }

    /// [MQTT5 3.8.3-5] [MQTT5 3.8.3.1]
    #[test]
    fn reserved_bits_and_values_of_options_are_refused() {
        let rows = [
            (0x40, DecodeError::SubscriptionOptions { options: 0x40 }),
            (0x80, DecodeError::SubscriptionOptions { options: 0x80 }),
            (0x30, DecodeError::RetainHandling),
            (0x03, DecodeError::InvalidQoS { field: "requested QoS", value: 3 }),
        ];
        for (options, error) in rows {
            let bytes = [0x82, 7, 0, 7, 0, 0, 1, b'a', options];
            assert_eq!(decode(&bytes, V5, 32), Err(error), "{options:#010b}");
        }
    }

    /// [MQTT5 3.8.3-4]
    #[test]
    fn a_shared_subscription_is_never_no_local() {
        let mut bytes = *b"\x82\x10\0\x07\0\0\x0a$share/g/a\x04";
        assert_eq!(decode(&bytes, V5, 32), Err(DecodeError::NoLocalShared));
        *bytes.last_mut().unwrap() = 0;
        assert!(matches!(decode(&bytes, V5, 32), Ok(Some(_))));
        let mut requests = [request("$share/g/a", QoS::AtMostOnce)];
        requests[0].options.no_local = true;
        let refused = packet(&requests, Properties::NONE).encode(V5, &mut [0; 32]);
        assert_eq!(refused, Err(EncodeError::NoLocalShared));
    }

    #[test]
    fn a_bad_filter_behind_a_good_one_is_found() {
        let expected = Err(DecodeError::TopicFilter(TopicFilterError::Wildcard));
        assert_eq!(decode(b"\x82\x0b\0\x07\0\x01a\0\0\x02a#\0", V311, 32), expected);
    }

    #[test]
    fn a_filter_without_its_qos_is_refused() {
        let expected = Err(DecodeError::Truncated { field: "requested QoS" });
        assert_eq!(decode(b"\x82\x05\0\x07\0\x01a", V311, 32), expected);
    }
}
