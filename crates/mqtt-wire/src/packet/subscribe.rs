//! SUBSCRIBE: a client asks for messages [MQTT311 3.8].

use crate::error::{DecodeError, EncodeError};
use crate::packet_id::PacketId;
use crate::qos::QoS;
use crate::reader::Reader;
use crate::topic::TopicFilter;
use crate::writer::Writer;

/// A request for the messages of one or more topic filters.
///
/// ```text
/// body    := packet_id:u16 request{1..}
/// request := filter:text 0:6 qos:2
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Comes back in the SUBACK.
    pub packet_id: PacketId,
    /// What is asked for; at least one.
    pub filters: SubscribeFilters<'a>,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterRequest<'a> {
    /// Which topics.
    pub filter: TopicFilter<'a>,
    /// The highest QoS with which their messages may come.
    pub qos: QoS,
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
    pub(crate) fn decode(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        let requests = body.rest();
        // [MQTT311 3.8.3-3] At least one filter.
        if requests.is_empty() {
            return Err(DecodeError::NoFilters);
        }
        while !body.is_empty() {
            decode_request(body)?;
        }
        Ok(Self { packet_id, filters: SubscribeFilters(Source::Wire(requests)) })
    }

    pub(crate) fn encode_body(&self, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
        if self.filters.iter().next().is_none() {
            return Err(EncodeError::NoFilters);
        }
        writer.packet_id(self.packet_id);
        for request in self.filters.iter() {
            writer.binary("topic filter", request.filter.as_str().as_bytes())?;
            writer.u8(request.qos.number());
        }
        Ok(())
    }

    pub(crate) fn remaining_bytes(&self) -> usize {
        2 + self.filters.iter().map(|request| 2 + request.filter.as_str().len() + 1).sum::<usize>()
    }
}

fn decode_request<'a>(body: &mut Reader<'a>) -> Result<FilterRequest<'a>, DecodeError> {
    let filter = TopicFilter::decode(body)?;
    let value = body.u8("requested QoS")?;
    // [MQTT311 3.8.3-4] The upper six bits are 0 and the QoS is 0, 1 or 2.
    let qos = QoS::from_number(value).ok_or(DecodeError::InvalidQoS { field: "requested QoS", value })?;
    Ok(FilterRequest { filter, qos })
}

/// The next request of a body that `decode` has accepted.
fn read_request<'a>(body: &mut Reader<'a>) -> Option<FilterRequest<'a>> {
    if body.is_empty() { None } else { decode_request(body).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use crate::topic::TopicFilterError;

    const TWO: &[u8] = b"\x82\x0c\0\x07\0\x03a/#\x01\0\x01+\0";

    #[test]
    fn two_filters_byte_for_byte() {
        let requests = [
            FilterRequest { filter: TopicFilter::parse("a/#").unwrap(), qos: QoS::AtLeastOnce },
            FilterRequest { filter: TopicFilter::parse("+").unwrap(), qos: QoS::AtMostOnce },
        ];
        let filters = SubscribeFilters::from_slice(&requests);
        let packet = Packet::Subscribe(Subscribe { packet_id: PacketId::new(7).unwrap(), filters });
        let mut out = [0; 32];
        assert_eq!(packet.encode(&mut out), Ok(TWO.len()));
        assert_eq!(&out[..TWO.len()], TWO);
        assert_eq!(decode(TWO, 32), Ok(Some((packet, TWO.len()))));
        let Ok(Some((Packet::Subscribe(subscribe), _))) = decode(TWO, 32) else { panic!("not a subscribe") };
        assert_eq!(subscribe.filters.len(), 2);
    }

    /// [MQTT311 3.8.3-3]
    #[test]
    fn no_filter_is_refused() {
        assert_eq!(decode(b"\x82\x02\0\x07", 32), Err(DecodeError::NoFilters));
        let filters = SubscribeFilters::from_slice(&[]);
        let packet = Packet::Subscribe(Subscribe { packet_id: PacketId::FIRST, filters });
        assert_eq!(packet.encode(&mut [0; 32]), Err(EncodeError::NoFilters));
    }

    /// [MQTT311 3.8.3-4]
    #[test]
    fn reserved_bits_beside_the_qos_are_refused() {
        for value in [3, 4, 0x80] {
            let bytes = [0x82, 6, 0, 7, 0, 1, b'a', value];
            assert_eq!(decode(&bytes, 32), Err(DecodeError::InvalidQoS { field: "requested QoS", value }));
        }
    }

    #[test]
    fn a_bad_filter_behind_a_good_one_is_found() {
        let expected = Err(DecodeError::TopicFilter(TopicFilterError::Wildcard));
        assert_eq!(decode(b"\x82\x0b\0\x07\0\x01a\0\0\x02a#\0", 32), expected);
    }

    #[test]
    fn a_filter_without_its_qos_is_refused() {
        let expected = Err(DecodeError::Truncated { field: "requested QoS" });
        assert_eq!(decode(b"\x82\x05\0\x07\0\x01a", 32), expected);
    }
}
