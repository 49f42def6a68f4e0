//! Bytes as the specification has them.

use bytes::BytesMut;
use pretty_assertions::assert_eq;

use super::peer::Deflate;
use crate::streams::spdy::frame::{Encoder, Frame, FrameError};
use crate::streams::spdy::{Decoder, HeaderError, Headers, Inflate, NAMES_MAX, Stored};

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    Encoder::default().encode(frame, &mut bytes);
    bytes.to_vec()
}

fn decoded(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
    let mut decoder = Decoder::default();
    decoder.buffer().extend_from_slice(bytes);
    decoder.next()
}

/// A control frame's bytes.
fn control(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let mut bytes = vec![0x80, 3, 0, kind, flags, 0, 0, length];
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn frames_without_headers_are_written_as_specified() {
    let cases = [
        (Frame::Ping(1), control(6, 0, &[0, 0, 0, 1])),
        (Frame::RstStream { id: 5, status: 3 }, control(3, 0, &[0, 0, 0, 5, 0, 0, 0, 3])),
        (Frame::GoAway { last: 7, status: 1 }, control(7, 0, &[0, 0, 0, 7, 0, 0, 0, 1])),
        (Frame::WindowUpdate { id: 1, delta: 258 }, control(9, 0, &[0, 0, 0, 1, 0, 0, 1, 2])),
        (Frame::Settings(vec![(4, 100)]), control(4, 0, &[0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 100])),
        (
            Frame::Data { id: 3, fin: true, bytes: "hi".into() },
            vec![0, 0, 0, 3, 1, 0, 0, 2, b'h', b'i'],
        ),
    ];
    for (frame, bytes) in cases {
        assert_eq!(encoded(&frame), bytes, "{frame:?}");
        assert_eq!(decoded(&bytes), Ok(Some(frame)));
    }
}

#[test]
fn what_breaks_a_frame_is_named() {
    let cases = [
        (vec![0x80, 2, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1], FrameError::Version(2)),
        (control(5, 0, &[]), FrameError::Type(5)),
        (control(10, 0, &[0; 4]), FrameError::Type(10)),
        (control(6, 0, &[0; 4]), FrameError::Zero(6)),
        (control(3, 0, &[0, 0, 0, 0, 0, 0, 0, 1]), FrameError::Zero(3)),
        (control(3, 0, &[0, 0, 0, 1, 0, 0, 0, 0]), FrameError::Zero(3)),
        (control(6, 0, &[0; 3]), FrameError::Length { kind: 6, length: 3 }),
        (control(6, 0, &[0, 0, 0, 1, 0]), FrameError::Length { kind: 6, length: 5 }),
        (control(7, 0, &[0; 4]), FrameError::Length { kind: 7, length: 4 }),
        (control(4, 0, &[0, 0, 0, 2, 0, 0, 0, 1]), FrameError::Length { kind: 4, length: 8 }),
        (control(1, 0, &[0, 0, 0, 1]), FrameError::Length { kind: 1, length: 4 }),
        (vec![0x80, 3, 0, 1, 0, 1, 0, 1], FrameError::TooLarge(65_537)),
        (vec![0; 8], FrameError::Zero(0)),
        (
            control(2, 0, &[0, 0, 0, 1, 0xff, 0xff, 0xff]),
            FrameError::Headers(HeaderError::Compression),
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(decoded(&bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn a_large_data_frame_comes_in_pieces_and_its_fin_with_the_last() {
    let mut decoder = Decoder::default();
    decoder.buffer().extend_from_slice(&[0, 0, 0, 1, 1, 0, 0xc0, 0]);
    let mut got = 0;
    for portion in [10_000, 20_000, 19_152] {
        decoder.buffer().extend_from_slice(&vec![7; portion]);
        while let Some(frame) = decoder.next().unwrap() {
            let Frame::Data { id: 1, fin, bytes } = frame else { panic!("{frame:?}") };
            got += bytes.len();
            assert!(bytes.len() <= super::super::PIECE_MAX);
            assert_eq!(fin, got == 0xc000);
        }
        assert!(decoder.buffer().is_empty(), "pieces do not wait for their frame's end");
    }
    assert_eq!(got, 0xc000);
}

#[test]
fn a_real_compressor_is_understood_over_many_blocks() {
    let (mut deflate, mut inflate) = (Deflate::default(), Inflate::default());
    for request in 0..200 {
        let headers = Headers::default()
            .with("streamType", "error")
            .with("port", "2379")
            .with("requestID", &request.to_string());
        let block = inflate.block(&deflate.block(&headers.block())).unwrap();
        assert_eq!(Headers::parse(&block), Ok(headers));
    }
}

#[test]
fn what_we_store_is_what_a_decompressor_reads() {
    let (mut stored, mut inflate) = (Stored::default(), Inflate::default());
    for length in [0, 1, 300, 65_535, 65_536] {
        let block = vec![b'x'; length];
        let mut bytes = Vec::new();
        stored.write(&block, &mut bytes);
        assert_eq!(inflate.block(&bytes).map(|read| read.len()), Ok(length));
    }
}

#[test]
fn a_block_may_not_blow_up() {
    let mut deflate = Deflate::default();
    let bomb = deflate.block(&vec![0; 1 << 24]);
    assert!(bomb.len() < 20_000);
    assert_eq!(Inflate::default().block(&bomb), Err(HeaderError::TooLarge));
}

#[test]
fn headers_that_are_not_allowed_are_named() {
    let parse = |pairs: &[(&str, &str)]| {
        let number = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
        let mut block = number(pairs.len()).to_vec();
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            block.extend_from_slice(&number(text.len()));
            block.extend_from_slice(text.as_bytes());
        }
        Headers::parse(&block)
    };
    assert_eq!(parse(&[("Port", "1")]), Err(HeaderError::Name));
    assert_eq!(parse(&[("", "1")]), Err(HeaderError::Name));
    let twice = [("port", "1"), ("port", "2")];
    assert_eq!(parse(&twice), Err(HeaderError::Duplicate("port".into())));
    let many: Vec<String> = (0..=NAMES_MAX).map(|n| format!("n{n}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (&**name, "")).collect();
    assert_eq!(parse(&many), Err(HeaderError::TooMany(101)));
    assert_eq!(parse(&many[1..]).map(|headers| headers.get("n7").is_some()), Ok(true));
    let hop = parse(&[("host", "a")]).unwrap();
    assert_eq!(hop.check_hops(), Err(HeaderError::Hop("host".into())));
    let several = parse(&[("a", "1\x002")]).unwrap();
    assert_eq!(several.get("a"), Some("1"));
    let mut block = several.block();
    block.push(0);
    assert_eq!(Headers::parse(&block), Err(HeaderError::Length));
}
