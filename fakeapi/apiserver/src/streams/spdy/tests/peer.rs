//! The other side of a session, with a compressor as real clients have one.

use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::streams::spdy::frame::{Encoder, Frame};
use crate::streams::spdy::{Decoder, Headers, StreamId, dictionary};

/// One zlib stream over all blocks, flushed behind each.
pub(super) struct Deflate(Compress);

impl Default for Deflate {
    fn default() -> Self {
        let mut compress = Compress::new(Compression::best(), true);
        compress.set_dictionary(dictionary::bytes()).unwrap();
        Self(compress)
    }
}

impl Deflate {
    pub(super) fn block(&mut self, mut block: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            out.reserve(1024);
            let before = self.0.total_in();
            self.0.compress_vec(block, &mut out, FlushCompress::Sync).unwrap();
            block = &block[usize::try_from(self.0.total_in() - before).unwrap()..];
            if block.is_empty() && out.len() < out.capacity() {
                return out;
            }
        }
    }

    /// A `SYN_STREAM` frame.
    pub(super) fn syn(&mut self, id: StreamId, fin: bool, headers: &Headers) -> Vec<u8> {
        let mut payload = id.to_be_bytes().to_vec();
        payload.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
        payload.extend_from_slice(&self.block(&headers.block()));
        let mut frame = vec![0x80, 3, 0, 1, u8::from(fin)];
        frame.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
        frame.extend_from_slice(&payload);
        frame
    }
}

/// A client on the other end of a pipe.
pub(in crate::streams) struct Peer {
    pipe: DuplexStream,
    deflate: Deflate,
    encoder: Encoder,
    decoder: Decoder,
}

impl Peer {
    pub(in crate::streams) fn new(pipe: DuplexStream) -> Self {
        let (encoder, decoder) = (Encoder::default(), Decoder::default());
        Self { pipe, deflate: Deflate::default(), encoder, decoder }
    }

    pub(in crate::streams) async fn bytes(&mut self, bytes: &[u8]) {
        self.pipe.write_all(bytes).await.unwrap();
    }

    pub(in crate::streams) async fn send(&mut self, frame: Frame) {
        let mut bytes = BytesMut::new();
        self.encoder.encode(&frame, &mut bytes);
        self.bytes(&bytes).await;
    }

    pub(in crate::streams) async fn open(&mut self, id: StreamId, headers: &[(&str, &str)]) {
        let headers =
            headers.iter().fold(Headers::default(), |all, (name, value)| all.with(name, value));
        let frame = self.deflate.syn(id, false, &headers);
        self.bytes(&frame).await;
    }

    pub(in crate::streams) async fn data(&mut self, id: StreamId, bytes: &'static str) {
        self.send(Frame::Data { id, fin: false, bytes: Bytes::from_static(bytes.as_bytes()) })
            .await;
    }

    pub(in crate::streams) async fn fin(&mut self, id: StreamId) {
        self.send(Frame::Data { id, fin: true, bytes: Bytes::new() }).await;
    }

    /// The next frame; none when the connection is closed.
    pub(in crate::streams) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                return Some(frame);
            }
            if self.pipe.read_buf(self.decoder.buffer()).await.unwrap() == 0 {
                return None;
            }
        }
    }

    /// Everything until the connection is closed.
    pub(in crate::streams) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }
}
