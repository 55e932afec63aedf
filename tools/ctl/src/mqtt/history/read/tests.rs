use super::ends_quoted;

#[test]
fn a_record_ends_outside_of_quotes() {
    for (line, begins_quoted, is_quoted) in [
        (&b"a,b\r\n"[..], false, false),
        (b"a,\"b\n", false, true),
        (b"c\n", true, true),
        (b"d \"\"e\"\"\n", true, true),
        (b"f\",g\r\n", true, false),
        (b"a,\"b \"\"c\"\"\",d\r\n", false, false),
    ] {
        assert_eq!(ends_quoted(line, begins_quoted), is_quoted, "{line:?}");
    }
}
