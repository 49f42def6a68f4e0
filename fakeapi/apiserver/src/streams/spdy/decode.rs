//! Reading frames from bytes that come in any portions.

use bytes::{Buf, Bytes, BytesMut};

use super::frame::{
    CONTROL_MAX, FIN, Frame, FrameError, GOAWAY, HEADERS, PIECE_MAX, PING, RST_STREAM, SETTINGS,
    SYN_REPLY, SYN_STREAM, StreamId, UNIDIRECTIONAL, VERSION, WINDOW_UPDATE,
};
use super::headers::{Headers, Inflate};

const CONTROL: u32 = 0x8000_0000;
/// A stream's number has 31 bits.
const STREAM_ID: u32 = 0x7fff_ffff;
/// Every frame's head.
const HEAD: usize = 8;

/// Reads one session's frames.
///
/// It holds no more than one control frame ([`CONTROL_MAX`]) beside the last portion: the bytes
/// of data frames are handed on as they come.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
    inflate: Inflate,
    data: Option<DataLeft>,
}

/// What of a data frame is still to come.
#[derive(Debug)]
struct DataLeft {
    id: StreamId,
    fin: bool,
    left: usize,
}

impl Decoder {
    /// Where the next portion goes.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next frame of what has come in; none when more is needed.
    ///
    /// # Errors
    /// When the session cannot go on. The decoder is of no use then.
    #[expect(clippy::should_implement_trait, reason = "it fails, and it is no iterator's end")]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(data) = self.data.take() {
            return Ok(self.piece(data));
        }
        let Some((head, _)) = self.buffer.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [a, b, c, d, flags, length @ ..] = *head;
        let word = u32::from_be_bytes([a, b, c, d]);
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        if word & CONTROL == 0 {
            if word == 0 {
                return Err(FrameError::Zero(0));
            }
            self.buffer.advance(HEAD);
            return Ok(self.piece(DataLeft { id: word, fin: flags & FIN != 0, left: length }));
        }
        let (version, kind) = (u16::from_be_bytes([a & 0x7f, b]), u16::from_be_bytes([c, d]));
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        if length > CONTROL_MAX {
            return Err(FrameError::TooLarge(length));
        }
        if self.buffer.len() < HEAD + length {
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        let payload = self.buffer.split_to(length).freeze();
        self.control(kind, flags, payload).map(Some)
    }

    /// Takes what is there of a data frame.
    fn piece(&mut self, mut data: DataLeft) -> Option<Frame> {
        let length = data.left.min(self.buffer.len()).min(PIECE_MAX);
        if length == 0 && data.left > 0 {
            self.data = Some(data);
            return None;
        }
        let bytes = self.buffer.split_to(length).freeze();
        data.left -= length;
        let (id, last) = (data.id, data.left == 0);
        let fin = data.fin && last;
        if !last {
            self.data = Some(data);
        }
        Some(Frame::Data { id, fin, bytes })
    }

    fn control(&mut self, kind: u16, flags: u8, payload: Bytes) -> Result<Frame, FrameError> {
        let mut payload = Payload { kind, length: payload.len(), bytes: payload };
        let fin = flags & FIN != 0;
        let frame = match kind {
            SYN_STREAM => {
                let id = payload.stream()?;
                let associated = payload.number()? & STREAM_ID;
                let [priority, _slot] = payload.two_bytes()?;
                let headers = self.headers(&payload.rest())?;
                headers.check_hops()?;
                let (priority, unidirectional) = (priority >> 5, flags & UNIDIRECTIONAL != 0);
                Frame::SynStream { id, associated, priority, fin, unidirectional, headers }
            }
            SYN_REPLY => {
                let id = payload.stream()?;
                Frame::SynReply { id, fin, headers: self.headers(&payload.rest())? }
            }
            HEADERS => {
                let id = payload.stream()?;
                Frame::Headers { id, fin, headers: self.headers(&payload.rest())? }
            }
            RST_STREAM => Frame::RstStream { id: payload.stream()?, status: payload.not_zero()? },
            SETTINGS => payload.settings()?,
            PING => Frame::Ping(payload.not_zero()?),
            GOAWAY => {
                Frame::GoAway { last: payload.number()? & STREAM_ID, status: payload.number()? }
            }
            WINDOW_UPDATE => {
                let id = payload.number()? & STREAM_ID;
                Frame::WindowUpdate { id, delta: payload.number()? & STREAM_ID }
            }
            unknown => return Err(FrameError::Type(unknown)),
        };
        payload.done()?;
        Ok(frame)
    }

    fn headers(&mut self, compressed: &[u8]) -> Result<Headers, FrameError> {
        Ok(Headers::parse(&self.inflate.block(compressed)?)?)
    }
}

/// What of a control frame is not yet read.
struct Payload {
    kind: u16,
    length: usize,
    bytes: Bytes,
}

impl Payload {
    fn wrong_length(&self) -> FrameError {
        FrameError::Length { kind: self.kind, length: self.length }
    }

    fn number(&mut self) -> Result<u32, FrameError> {
        self.bytes.try_get_u32().map_err(|_| self.wrong_length())
    }

    fn not_zero(&mut self) -> Result<u32, FrameError> {
        match self.number()? {
            0 => Err(FrameError::Zero(self.kind)),
            number => Ok(number),
        }
    }

    fn stream(&mut self) -> Result<StreamId, FrameError> {
        match self.number()? & STREAM_ID {
            0 => Err(FrameError::Zero(self.kind)),
            id => Ok(id),
        }
    }

    fn two_bytes(&mut self) -> Result<[u8; 2], FrameError> {
        self.bytes.try_get_u16().map(u16::to_be_bytes).map_err(|_| self.wrong_length())
    }

    fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }

    fn settings(&mut self) -> Result<Frame, FrameError> {
        let count = self.number()?;
        if usize::try_from(count).ok().and_then(|count| count.checked_mul(8))
            != Some(self.bytes.len())
        {
            return Err(self.wrong_length());
        }
        let settings =
            (0..count).map(|_| Ok((self.number()?, self.number()?))).collect::<Result<_, _>>();
        settings.map(Frame::Settings)
    }

    fn done(&self) -> Result<(), FrameError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(self.wrong_length()) }
    }
}
