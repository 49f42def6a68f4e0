//! The wire format itself: tags, varints, lengths.

use super::ProtobufError;

/// How a value is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// A value as it is framed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum WireValue<'b> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'b [u8]),
    Fixed32,
}

impl WireValue<'_> {
    /// The number of its wire type.
    pub(super) fn wire_type(&self) -> u8 {
        match self {
            Self::Varint(_) => WireType::Varint as u8,
            Self::Fixed64(_) => WireType::Fixed64 as u8,
            Self::Bytes(_) => WireType::Bytes as u8,
            Self::Fixed32 => WireType::Fixed32 as u8,
        }
    }
}

/// Reads fields from the front of a slice.
pub(super) struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field: its number and value; nothing at the end.
    pub(super) fn field(&mut self) -> Result<Option<(u32, WireValue<'b>)>, ProtobufError> {
        if self.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| ProtobufError::Malformed("tag"))?;
        if number == 0 {
            return Err(ProtobufError::Malformed("tag"));
        }
        let value = match tag & 7 {
            0 => WireValue::Varint(self.varint()?),
            1 => WireValue::Fixed64(self.fixed64()?),
            2 => WireValue::Bytes(self.bytes()?),
            5 => {
                self.take(4)?;
                WireValue::Fixed32
            }
            // Groups, which Kubernetes never had.
            _ => return Err(ProtobufError::Malformed("wire type")),
        };
        Ok(Some((number, value)))
    }

    pub(super) fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0_u64;
        for (position, byte) in self.rest.iter().enumerate() {
            // The tenth byte has room for one bit.
            if position == 9 && *byte > 1 {
                return Err(ProtobufError::Malformed("varint"));
            }
            value |= u64::from(byte & 0x7f) << (position * 7);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[position + 1..];
                return Ok(value);
            }
        }
        Err(ProtobufError::Truncated)
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, ProtobufError> {
        let bytes = self.take(8)?;
        let bytes = bytes.try_into().map_err(|_| ProtobufError::Truncated)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn bytes(&mut self) -> Result<&'b [u8], ProtobufError> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| ProtobufError::Truncated)?)
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

fn low_bits(value: u64) -> u8 {
    value.to_le_bytes()[0] & 0x7f
}

pub(super) fn write_tag(out: &mut Vec<u8>, number: u32, wire_type: WireType) {
    write_varint(out, u64::from(number) << 3 | u64::from(wire_type as u8));
}

pub(super) fn write_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    write_tag(out, number, WireType::Varint);
    write_varint(out, value);
}

pub(super) fn write_bytes_field(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    write_tag(out, number, WireType::Bytes);
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a message whose length is known only when `content` has written it.
pub(super) fn write_message_field<E>(
    out: &mut Vec<u8>,
    number: u32,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    write_tag(out, number, WireType::Bytes);
    let start = out.len();
    // One byte is enough for the length of most messages; longer ones move up.
    out.push(0);
    content(out)?;
    let mut length = Vec::with_capacity(10);
    write_varint(&mut length, (out.len() - start - 1) as u64);
    out.splice(start..=start, length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.varint().expect("reads"), value);
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn malformed_bytes_are_told() {
        let truncated: &[&[u8]] = &[
            &[0x80],
            &[0x0a],
            &[0x0a, 5, 1],
            &[0x09, 1, 2],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ];
        for bytes in truncated {
            let error = Reader::new(bytes).field().expect_err("truncated");
            assert!(matches!(error, ProtobufError::Truncated), "{bytes:?} {error}");
        }
        let malformed: &[&[u8]] = &[&[0x00, 0], &[0x0b], &[0x0c], &[0x0f], &[0xff; 11]];
        for bytes in malformed {
            let error = Reader::new(bytes).field().expect_err("malformed");
            assert!(matches!(error, ProtobufError::Malformed(_)), "{bytes:?} {error}");
        }
    }

    #[test]
    fn long_messages_get_long_lengths() {
        let mut out = Vec::new();
        write_message_field(&mut out, 1, |out| {
            out.extend_from_slice(&[7; 300]);
            Ok::<(), ProtobufError>(())
        })
        .expect("writes");
        let (number, value) = Reader::new(&out).field().expect("reads").expect("a field");
        assert_eq!((number, value), (1, WireValue::Bytes(&[7; 300])));
    }
}
