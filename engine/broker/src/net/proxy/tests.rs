//! Headers, good and bad.

use super::*;

async fn parse(bytes: &[u8]) -> (Option<Option<String>>, usize) {
    let mut rest = bytes;
    let read = read(&mut rest).await;
    let found = read.ok().map(|address| address.map(|at| at.to_string()));
    (found, rest.len())
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(rest.len()).expect("short").to_be_bytes());
    header.extend(rest);
    header
}

#[tokio::test]
async fn the_source_address_is_found_and_no_byte_more_is_taken() {
    let mut v6 = [0; 36];
    v6[15] = 1;
    v6[32..34].copy_from_slice(&7u16.to_be_bytes());
    let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0, 7, 0, 9];
    // What a proxy adds: type, length, value.
    let with_more = [&v4[..], &[0x04, 0, 2, 0, 0]].concat();
    let cases: [(Vec<u8>, Option<&str>); 8] = [
        (
            b"PROXY TCP4 192.0.2.1 10.0.0.1 7 9\r\n".to_vec(),
            Some("192.0.2.1:7"),
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 7 9\r\n".to_vec(),
            Some("[2001:db8::1]:7"),
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (binary(0x21, 0x11, &v4), Some("192.0.2.1:7")),
        (binary(0x21, 0x11, &with_more), Some("192.0.2.1:7")),
        (binary(0x21, 0x21, &v6), Some("[::1]:7")),
        (binary(0x20, 0x11, &v4), None),
        (binary(0x21, 0x00, &[]), None),
    ];
    for (mut bytes, expected) in cases {
        bytes.extend(b"MQTT");
        let (found, left) = parse(&bytes).await;
        assert_eq!(found, Some(expected.map(str::to_owned)), "{bytes:?}");
        assert_eq!(left, 4, "{bytes:?}");
    }
}

#[tokio::test]
async fn what_is_no_header_is_refused() {
    let long = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
    for bytes in [
        &b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"[..],
        b"PROXY TCP4 1.2.3.4 nonsense 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 99999 2\r\n",
        b"PROXY TCP4 1.2.3.4",
        &long,
        &binary(0x31, 0x11, &[0; 12]),
        &binary(0x21, 0x11, &[0; 3]),
        &binary(0x21, 0x11, &[0; 5000]),
        SIGNATURE,
        b"",
    ] {
        assert_eq!(parse(bytes).await.0, None, "{bytes:?}");
    }
}
