//! Masking and finding functions.

use super::{Function, functions, lines_with_word, mask};

#[test]
fn masking_blanks_literals_and_comments_and_keeps_positions() {
    for (source, masked) in [
        ("a // b { c\nd", "a         \nd"),
        ("a /* { /* } */ { */ b", "a                   b"),
        ("f(\"{\\\"{\") }", "f(      ) }"),
        ("r#\"{\"{\"# }", "         }"),
        ("br\"{\\\" }", "       }"),
        ("b\"{\" }", "b    }"),
        ("'{' '\\'' '\\u{7B}' }", "                  }"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        ("r#fn('ä')", "r#fn(    )"),
        ("\"a\nb\" {", "  \n   {"),
        ("\"open {", "       "),
    ] {
        assert_eq!(mask(source), masked, "{source}");
        assert_eq!(mask(source).len(), source.len(), "{source}");
    }
}

#[test]
fn functions_are_measured_from_their_name_to_the_closing_brace() {
    let source = "\
trait T {
    fn declared(&self, x: [u8; 3]);
}
fn one() {}
pub(crate) const fn outer<F: Fn(u8)>(f: F) -> [u8; 2]
where
    F: Copy,
{
    let text = \"}\"; // }
    fn inner() {
        if true { '}' } else { '{' };
    }
    [0; 2]
}
type Pointer = fn (u8) -> u8;
";
    let expected = [("one", 4, 1), ("outer", 5, 10), ("inner", 10, 3)];
    let expected: Vec<Function> = expected
        .into_iter()
        .map(|(name, line, line_count)| Function {
            name: name.to_owned(),
            line,
            line_count,
        })
        .collect();
    assert_eq!(functions(&mask(source)), expected);
}

#[test]
fn words_are_whole_words() {
    assert_eq!(
        lines_with_word("todo\nmytodo todos\n.todo!", "todo"),
        [1, 3]
    );
}

#[test]
fn source_cut_off_anywhere_is_masked_to_its_length() {
    let source = "fn f<'a>() { b'\\'' ; r##\"ä\"# \"## ; \"\\u{7b}\\\\\" ; 'ö' ; /* /* */ ä */ br#\"\"# // ü\n }";
    for end in (0..=source.len()).filter(|end| source.is_char_boundary(*end)) {
        let masked = mask(&source[..end]);
        assert_eq!(masked.len(), end, "{masked}");
        functions(&masked);
    }
}
