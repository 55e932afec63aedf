use proptest::prelude::*;

use crate::testing::{SEGMENT, build, messages, put_batch, records};
use crate::{
    BodyEncoder, Codec, Compression, EncodedBody, FrameFault, FrameFields, HEADER_LEN, Lsn, NodeId,
    RATIO_MAX, SegmentId, encode_frame, parse_header, read_batch, read_body, verify_body,
};

fn fields(batch: &crate::Batch) -> FrameFields {
    FrameFields {
        lsn: Lsn(5),
        leader: NodeId(1),
        ..FrameFields::of_batch(batch)
    }
}

proptest! {
    #[test]
    fn a_frame_gives_back_its_batch(records in records(), codec in 0u8..3) {
        let batch = build(4, 9, &records);
        let codec = Codec::from_u8(codec).expect("a codec");
        let mut encoder = BodyEncoder::new(Compression { codec, bytes_min: 64 });
        let mut out = vec![0; 16];
        let written = encode_frame(&fields(&batch), encoder.encode(batch.body()), SEGMENT, &mut out);
        prop_assert!(out.len().is_multiple_of(8));
        prop_assert_eq!(out.len(), 16 + written.frame_len());
        let header = parse_header(&out[16..], SEGMENT).expect("a written header parses");
        prop_assert_eq!(header, written);
        prop_assert_eq!(header.fields, fields(&batch));
        let found = read_batch(&header, &out[16 + HEADER_LEN..], SEGMENT).expect("a batch");
        prop_assert_eq!(found, batch);
    }

    #[test]
    fn arbitrary_bodies_never_panic_and_stay_bounded(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        codec in 0u8..3,
        raw_len in 0usize..60_000,
    ) {
        let codec = Codec::from_u8(codec).expect("a codec");
        if raw_len <= bytes.len() * RATIO_MAX
            && let Ok(raw) = super::compress::decompress(codec, &bytes, raw_len)
        {
            prop_assert_eq!(raw.len(), raw_len);
        }
    }

    #[test]
    fn arbitrary_headers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = parse_header(&bytes, SEGMENT);
    }
}

#[test]
fn every_single_bit_flip_is_detected() {
    let batch = messages(4, 9, 3, 2);
    let mut frame = Vec::new();
    put_batch(&mut frame, &batch, 5, 4);
    assert!(
        !batch.body().len().is_multiple_of(8),
        "the sample has padding"
    );
    for bit in 0..frame.len() * 8 {
        frame[bit / 8] ^= 1 << (bit % 8);
        let found = parse_header(&frame, SEGMENT)
            .and_then(|header| verify_body(&header, &frame[HEADER_LEN..], SEGMENT));
        assert!(found.is_err(), "bit {bit} flipped unnoticed");
        frame[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(parse_header(&frame, SEGMENT).is_ok());
}

#[test]
fn frames_of_another_life_of_the_file_do_not_verify() {
    let mut frame = Vec::new();
    put_batch(&mut frame, &messages(4, 9, 3, 2), 5, 4);
    let header = parse_header(&frame, SEGMENT).expect("own segment");
    for other in [0, 1, 76, 78, 77 + (1 << 31), u64::MAX] {
        let other = SegmentId(other);
        assert_eq!(parse_header(&frame, other), Err(FrameFault::HeaderChecksum));
        let body = verify_body(&header, &frame[HEADER_LEN..], other);
        assert_eq!(body, Err(FrameFault::BodyChecksum));
    }
}

#[test]
fn short_input_says_what_it_needs() {
    let mut frame = Vec::new();
    put_batch(&mut frame, &messages(4, 9, 3, 2), 5, 4);
    let header = parse_header(&frame, SEGMENT).expect("whole");
    for len in 0..frame.len() {
        let found = parse_header(&frame[..len], SEGMENT)
            .and_then(|header| verify_body(&header, &frame[HEADER_LEN..len], SEGMENT));
        let need = if len < HEADER_LEN {
            HEADER_LEN
        } else {
            header.frame_len()
        };
        assert_eq!(found, Err(FrameFault::Short { need }), "{len} bytes");
    }
}

#[test]
fn compression_is_used_where_it_helps() {
    let text: String = (0..1000)
        .map(|n| format!("the same words and {n} "))
        .collect();
    let text = text.into_bytes();
    let mut seed = 1u32;
    let noise: Vec<u8> = (0..20_000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .collect();
    let zeros = vec![0; 1 << 20];
    // codec asked for, body, codec used
    let cases = [
        (Codec::None, &text, Codec::None),
        (Codec::Lz4, &text, Codec::Lz4),
        (Codec::Zstd, &text, Codec::Zstd),
        (Codec::Lz4, &noise, Codec::None),
        (Codec::Zstd, &noise, Codec::None),
        (Codec::Zstd, &zeros, Codec::Lz4),
    ];
    for (codec, raw, used) in cases {
        let mut encoder = BodyEncoder::new(Compression {
            codec,
            bytes_min: 4096,
        });
        let body = encoder.encode(raw);
        assert_eq!(body.codec(), used, "{codec:?}, {} bytes", raw.len());
        assert!(body.bytes().len() <= raw.len());
        let back = super::compress::decompress(body.codec(), body.bytes(), raw.len());
        assert!(back.is_ok_and(|back| back == *raw));
        assert_eq!(
            encoder.encode(&raw[..4095]).codec(),
            Codec::None,
            "below the minimum"
        );
    }
}

#[test]
fn a_stream_that_gains_nothing_is_tried_ever_less_often_and_others_as_before() {
    let mut encoder = BodyEncoder::new(Compression {
        codec: Codec::Lz4,
        bytes_min: 64,
    });
    let text = "the same words again and again ".repeat(100).into_bytes();
    let mut state = 1u64;
    let noise: Vec<u8> = (0..4096)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    for _ in 0..200 {
        assert_eq!(encoder.encode_of(3, &noise).codec(), Codec::None);
        assert_eq!(encoder.encode_of(1, &text).codec(), Codec::Lz4);
    }
    // After many failures it is some time until the stream is tried again, but
    // then it is compressed from there on.
    let codecs: Vec<Codec> = (0..40)
        .map(|_| encoder.encode_of(3, &text).codec())
        .collect();
    let first = codecs.iter().position(|codec| *codec == Codec::Lz4);
    let first = first.expect("it is tried again");
    assert!((1..=33).contains(&first), "after {first}");
    assert!(codecs[first..].iter().all(|codec| *codec == Codec::Lz4));
}

#[test]
fn decompression_must_give_the_announced_length() {
    let raw = "the same words again and again ".repeat(100).into_bytes();
    for codec in [Codec::Lz4, Codec::Zstd] {
        let mut encoder = BodyEncoder::new(Compression {
            codec,
            bytes_min: 0,
        });
        let body = encoder.encode(&raw);
        for raw_len in [0, 1, raw.len() - 1, raw.len() + 1] {
            let back = super::compress::decompress(codec, body.bytes(), raw_len);
            assert_eq!(back, Err(FrameFault::Compression), "{codec:?} {raw_len}");
        }
    }
}

/// Rewrites bytes of a header and makes its checksum right again.
fn forge(frame: &[u8], position: usize, value: &[u8]) -> Vec<u8> {
    let mut forged = frame.to_vec();
    forged[position..position + value.len()].copy_from_slice(value);
    let crc = super::checksum(SEGMENT, &forged[8..HEADER_LEN]);
    forged[4..8].copy_from_slice(&crc.to_le_bytes());
    forged
}

#[test]
fn headers_with_a_right_checksum_are_still_checked() {
    let mut frame = Vec::new();
    put_batch(&mut frame, &messages(4, 9, 3, 2), 5, 4);
    let max = u32::MAX.to_le_bytes();
    let cases: &[(usize, &[u8])] = &[
        (12, &max),
        (16, &max),
        (12, &[0; 4]),
        (20, &[0]),
        (20, &[8]),
        (21, &[3]),
        (21, &[1, 0, 0, 0]),
        (22, &[8]),
        (28, &[0; 4]),
        (28, &max),
        (32, &[0; 8]),
        (32, &[0xff; 8]),
        (56, &[0; 8]),
        (64, &[5]),
    ];
    for (position, value) in cases {
        let forged = forge(&frame, *position, value);
        match parse_header(&forged, SEGMENT) {
            Err(FrameFault::Field(_)) => (),
            // A codec that is allowed, but is not the body's.
            Ok(header) => {
                let body = read_body(&header, &forged[HEADER_LEN..], SEGMENT);
                assert!(body.is_err(), "{position} := {value:?}");
            }
            Err(other) => panic!("{position} := {value:?}: {other}"),
        }
    }
    // What contradicts the body is found when the body is read.
    for (position, value) in [(22, 1), (22, 2), (28, 2), (80, 1)] {
        let forged = forge(&frame, position, &[value]);
        let header = parse_header(&forged, SEGMENT).expect("a possible header");
        let batch = read_batch(&header, &forged[HEADER_LEN..], SEGMENT);
        let wanted = FrameFault::Field("header contradicts the batch");
        assert_eq!(batch, Err(wanted), "{position} := {value}");
    }
}

#[test]
#[should_panic(expected = "unreadable header")]
fn a_header_that_could_not_be_read_is_not_written() {
    let batch = messages(4, 9, 1, 1);
    let fields = FrameFields {
        lsn: Lsn(0),
        ..fields(&batch)
    };
    encode_frame(
        &fields,
        EncodedBody::plain(batch.body()),
        SEGMENT,
        &mut Vec::new(),
    );
}
