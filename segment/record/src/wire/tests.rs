use proptest::prelude::*;

use super::{Input, VARINT_LEN_MAX, put_varint, unzigzag, varint_len, zigzag};

proptest! {
    #[test]
    fn varints_come_back(shift in 0u32..64, value in any::<u64>()) {
        let value = value >> shift;
        let mut out = Vec::new();
        put_varint(&mut out, value);
        prop_assert_eq!(out.len(), varint_len(value));
        prop_assert!(out.len() <= VARINT_LEN_MAX);
        let mut input = Input::new("test", &out);
        prop_assert_eq!(input.varint(), Ok(value));
        prop_assert_eq!(input.finish(), Ok(()));
    }

    #[test]
    fn zigzag_comes_back(value in any::<i64>()) {
        prop_assert_eq!(unzigzag(zigzag(value)), value);
    }

    /// There is one way to write each number.
    #[test]
    fn bytes_that_read_as_a_varint_are_what_is_written(
        bytes in proptest::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut input = Input::new("test", &bytes);
        if let Ok(value) = input.varint() {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(&out, &bytes[..input.position()]);
        }
    }
}

#[test]
fn varints_out_of_range_are_refused() {
    let cases: &[(&[u8], &str)] = &[
        (&[], "ends too early"),
        (&[0x80], "ends too early"),
        (&[0x80, 0x00], "varint is not in its shortest form"),
        (
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            "varint is above 64 bits",
        ),
        (&[0xff; 11], "varint is above 64 bits"),
    ];
    for (bytes, what) in cases {
        let error = Input::new("test", bytes).varint().expect_err(what);
        assert_eq!(error.what, *what, "{bytes:?}");
    }
    let mut above = Vec::new();
    put_varint(&mut above, 1 << 32);
    assert!(Input::new("test", &above).varint32().is_err());
}

#[test]
fn small_differences_take_few_bytes() {
    assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
    assert_eq!(zigzag(i64::MIN), u64::MAX);
}
