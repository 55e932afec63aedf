use super::*;

fn field(text: &str) -> String {
    let mut out = Vec::new();
    write_field(&mut out, text);
    String::from_utf8(out).expect("it stays UTF-8")
}

#[test]
fn fields_are_quoted_where_they_must_be() {
    assert_eq!(field("a b;c"), "a b;c");
    assert_eq!(field(""), "");
    assert_eq!(field("a,b"), "\"a,b\"");
    assert_eq!(field("say \"hi\""), "\"say \"\"hi\"\"\"");
    assert_eq!(field("two\r\nlines"), "\"two\r\nlines\"");
}
