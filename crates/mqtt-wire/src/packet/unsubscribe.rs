//! UNSUBSCRIBE: a client asks for no more messages [MQTT311 3.10] [MQTT5 3.10].

use crate::error::{DecodeError, EncodeError};
use crate::fixed_header::PacketKind;
use crate::packet_id::PacketId;
use crate::properties::{Carrier, Properties};
use crate::reader::Reader;
use crate::topic::TopicFilter;
use crate::version::ProtocolVersion;
use crate::writer::Writer;

/// A request to end the subscriptions of one or more topic filters.
///
/// ```text
/// body := packet_id:u16 [properties] filter:text{1..}      ; properties: MQTT 5
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Comes back in the UNSUBACK.
    pub packet_id: PacketId,
    /// MQTT 5: user properties.
    pub properties: Properties<'a>,
    /// Which subscriptions end; at least one.
    pub filters: UnsubscribeFilters<'a>,
}

/// The filters of an UNSUBSCRIBE, read from the packet while iterating or taken from a slice for sending.
#[derive(Clone, Copy, Debug)]
pub struct UnsubscribeFilters<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// INVARIANT: has passed `decode`, so every filter in it reads without an error.
    Wire(&'a [u8]),
    List(&'a [TopicFilter<'a>]),
}

impl<'a> UnsubscribeFilters<'a> {
    /// Filters for a packet to send.
    pub const fn from_slice(filters: &'a [TopicFilter<'a>]) -> Self {
        Self(Source::List(filters))
    }

    /// The filters in the packet's order.
    pub fn iter(&self) -> impl Iterator<Item = TopicFilter<'a>> + use<'a> {
        let (wire, list): (&[u8], &[_]) = match self.0 {
            Source::Wire(bytes) => (bytes, &[]),
            Source::List(filters) => (&[], filters),
        };
        let mut wire = Reader::new(wire);
        core::iter::from_fn(move || read_filter(&mut wire)).chain(list.iter().copied())
    }

    /// How many filters there are. Walks the packet.
    #[expect(clippy::len_without_is_empty, reason = "an UNSUBSCRIBE without filters does not decode")]
    pub fn len(&self) -> usize {
        self.iter().count()
    }
}

impl PartialEq for UnsubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UnsubscribeFilters<'_> {}

impl<'a> Unsubscribe<'a> {
    pub(super) fn decode(version: ProtocolVersion, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        let properties = match version {
            ProtocolVersion::V311 => Properties::NONE,
            ProtocolVersion::V5 => Properties::decode(body, Carrier::Packet(PacketKind::Unsubscribe))?,
        };
        let filters = body.rest();
        // [MQTT311 3.10.3-2] [MQTT5 3.10.3-2] At least one filter.
        if filters.is_empty() {
            return Err(DecodeError::NoFilters);
        }
        while !body.is_empty() {
            TopicFilter::decode(body)?;
        }
        Ok(Self { packet_id, properties, filters: UnsubscribeFilters(Source::Wire(filters)) })
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
            self.properties.encode(Carrier::Packet(PacketKind::Unsubscribe), writer)?;
        }
        for filter in self.filters.iter() {
            writer.binary("topic filter", filter.as_str().as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn remaining_bytes(&self, version: ProtocolVersion) -> usize {
        let filters = self.filters.iter().map(|filter| 2 + filter.as_str().len());
        2 + self.properties.encoded_len_in(version) + filters.sum::<usize>()
    }
}

/// The next filter of a body that `decode` has accepted.
fn read_filter<'a>(body: &mut Reader<'a>) -> Option<TopicFilter<'a>> {
    if body.is_empty() { None } else { TopicFilter::decode(body).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, decode};
    use crate::properties::{PropertiesWriter, Property};
    use ProtocolVersion::{V5, V311};

    #[test]
    fn two_filters_byte_for_byte() {
        let filters = [TopicFilter::parse("a/+").unwrap(), TopicFilter::parse("b").unwrap()];
        let filters = UnsubscribeFilters::from_slice(&filters);
        let mut block = [0; 8];
        let mut writer = PropertiesWriter::new(&mut block);
        writer.push(Property::UserProperty("k", "v")).unwrap();
        let rows: [(ProtocolVersion, Properties<'_>, &[u8]); 3] = [
            (V311, Properties::NONE, b"\xa2\x0a\0\x09\0\x03a/+\0\x01b"),
            (V5, Properties::NONE, b"\xa2\x0b\0\x09\0\0\x03a/+\0\x01b"),
            (V5, writer.finish(), b"\xa2\x12\0\x09\x07\x26\0\x01k\0\x01v\0\x03a/+\0\x01b"),
        ];
        for (version, properties, bytes) in rows {
            let packet_id = PacketId::new(9).unwrap();
            let packet = Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters });
            let mut out = [0; 32];
            assert_eq!(packet.encode(version, &mut out), Ok(bytes.len()));
            assert_eq!(&out[..bytes.len()], bytes);
            assert_eq!(decode(bytes, version, 32), Ok(Some((packet, bytes.len()))));
        }
        assert_eq!(filters.len(), 2);
    }

    /// [MQTT311 3.10.3-2] [MQTT5 3.10.3-2]
    #[test]
    fn no_filter_is_refused() {
        assert_eq!(decode(b"\xa2\x02\0\x07", V311, 32), Err(DecodeError::NoFilters));
        assert_eq!(decode(b"\xa2\x03\0\x07\0", V5, 32), Err(DecodeError::NoFilters));
    }
}
