//! A stranger's bytes: whatever comes, nothing panics and nothing grows beyond its bound.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::peer::Deflate;
use crate::streams::spdy::frame::{Encoder, Frame};
use crate::streams::spdy::{CONTROL_MAX, Decoder, FrameError, Headers, Inflate, PIECE_MAX};

fn headers() -> impl Strategy<Value = Headers> {
    proptest::collection::btree_map("[a-z][a-z0-9-]{0,12}", "[ -~\u{e9}]{0,40}", 0..6).prop_map(
        |map| {
            let allowed = ["connection", "host", "keep-alive"];
            map.into_iter()
                .filter(|(name, _)| !allowed.contains(&&**name))
                .fold(Headers::default(), |all, (name, value)| all.with(&name, &value))
        },
    )
}

fn frame() -> impl Strategy<Value = Frame> {
    let id = 1_u32..0x7fff_ffff;
    let number = 1_u32..;
    prop_oneof![
        (id.clone(), 0_u32..0x7fff_ffff, 0_u8..8, any::<bool>(), any::<bool>(), headers())
            .prop_map(|(id, associated, priority, fin, unidirectional, headers)| {
                Frame::SynStream { id, associated, priority, fin, unidirectional, headers }
            }),
        (id.clone(), any::<bool>(), headers()).prop_map(|(id, fin, headers)| Frame::SynReply {
            id,
            fin,
            headers
        }),
        (id.clone(), any::<bool>(), headers()).prop_map(|(id, fin, headers)| Frame::Headers {
            id,
            fin,
            headers
        }),
        (id.clone(), number.clone()).prop_map(|(id, status)| Frame::RstStream { id, status }),
        vec((any::<u32>(), any::<u32>()), 0..5).prop_map(Frame::Settings),
        number.prop_map(Frame::Ping),
        (0_u32..0x7fff_ffff, any::<u32>())
            .prop_map(|(last, status)| Frame::GoAway { last, status }),
        (0_u32..0x7fff_ffff, 0_u32..0x7fff_ffff)
            .prop_map(|(id, delta)| Frame::WindowUpdate { id, delta }),
        (id, any::<bool>(), vec(any::<u8>(), 0..40_000)).prop_map(|(id, fin, bytes)| Frame::Data {
            id,
            fin,
            bytes: bytes.into()
        }),
    ]
}

/// Feeds bytes in portions and takes all frames; also says how much was held at most.
fn decode(bytes: &[u8], portions: &[usize]) -> (Vec<Frame>, Result<(), FrameError>, usize) {
    let mut decoder = Decoder::default();
    let (mut frames, mut held, mut rest) = (Vec::new(), 0, bytes);
    let mut portions = portions.iter().copied().cycle();
    while !rest.is_empty() {
        let portion = portions.next().unwrap_or(rest.len()).clamp(1, rest.len());
        decoder.buffer().extend_from_slice(&rest[..portion]);
        rest = &rest[portion..];
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error), held),
            }
        }
        held = held.max(decoder.buffer().len());
    }
    (frames, Ok(()), held)
}

/// Puts the pieces of data frames together again.
fn whole(frames: Vec<Frame>) -> Vec<Frame> {
    let mut whole: Vec<Frame> = Vec::new();
    let mut open = false;
    for frame in frames {
        if let Frame::Data { id, fin, bytes } = &frame {
            if let Some(Frame::Data { id: same, fin: last, bytes: all }) = whole.last_mut()
                && open
                && same == id
            {
                *all = Bytes::from([&**all, &**bytes].concat());
                *last = *fin;
            } else {
                whole.push(frame.clone());
            }
            open = !fin;
        } else {
            open = false;
            whole.push(frame);
        }
    }
    whole
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_however_it_is_split(
        frames in vec(frame(), 1..8),
        portions in vec(1_usize..3_000, 1..8),
    ) {
        let (mut encoder, mut bytes) = (Encoder::default(), BytesMut::new());
        for frame in &frames {
            encoder.encode(frame, &mut bytes);
        }
        let (read, end, held) = decode(&bytes, &portions);
        prop_assert_eq!(end, Ok(()));
        prop_assert!(held <= CONTROL_MAX + 8 + 3_000);
        prop_assert_eq!(whole(read), whole(frames));
    }

    #[test]
    fn noise_is_refused_within_bounds(
        bytes in vec(any::<u8>(), 0..4_096),
        portions in vec(1_usize..512, 1..4),
    ) {
        let (frames, _, held) = decode(&bytes, &portions);
        prop_assert!(held <= CONTROL_MAX + 8 + 512);
        for frame in frames {
            if let Frame::Data { bytes, .. } = frame {
                prop_assert!(bytes.len() <= PIECE_MAX);
            }
        }
    }

    #[test]
    fn control_frames_of_noise_do_not_panic(
        frames in vec((0_u8..12, any::<u8>(), vec(any::<u8>(), 0..64)), 1..6),
    ) {
        let mut bytes = Vec::new();
        for (kind, flags, payload) in frames {
            let length = u8::try_from(payload.len()).unwrap();
            bytes.extend_from_slice(&[0x80, 3, 0, kind, flags, 0, 0, length]);
            bytes.extend_from_slice(&payload);
        }
        drop(decode(&bytes, &[7]));
    }

    #[test]
    fn a_session_with_flipped_bits_does_not_panic(
        headers in vec(headers(), 1..6),
        flips in vec((any::<prop::sample::Index>(), 0_u8..8), 1..6),
    ) {
        let mut deflate = Deflate::default();
        let mut bytes: Vec<u8> = (1_u32..)
            .step_by(2)
            .zip(&headers)
            .flat_map(|(id, headers)| deflate.syn(id, false, headers))
            .collect();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        drop(decode(&bytes, &[13]));
    }

    #[test]
    fn header_blocks_of_noise_do_not_panic(block in vec(any::<u8>(), 0..256)) {
        drop(Headers::parse(&block));
        drop(Inflate::default().block(&block));
    }

    #[test]
    fn compressed_blocks_come_out_as_they_went_in(blocks in vec(headers(), 1..8)) {
        let (mut deflate, mut inflate) = (Deflate::default(), Inflate::default());
        for headers in blocks {
            let block = inflate.block(&deflate.block(&headers.block())).unwrap();
            prop_assert_eq!(Headers::parse(&block).unwrap(), headers);
        }
    }
}
