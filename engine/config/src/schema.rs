//! The declaration of keys: one macro call per section drives parsing, the check for unknown keys, the
//! defaults, the generated reference and the shipped sample.
//!
//! **Not here**: which keys exist ([`crate::sections`]) and where values come from ([`crate::load`]).

use crate::setting::{Fault, FaultKind, Literal};

/// One key as documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDoc {
    /// Name inside its section.
    pub name: &'static str,
    /// What it does, one string per line.
    pub text: &'static [&'static str],
    /// Default, as TOML.
    pub default: String,
    /// What may be written.
    pub accepts: String,
}

/// A table of keys.
pub(crate) trait Section: Default {
    /// What the section is about, one string per line.
    const TEXT: &'static [&'static str];

    /// Its keys in order of declaration.
    fn keys() -> Vec<KeyDoc>;

    /// Sets one key; an unknown name is a fault that lists the known ones.
    fn set(&mut self, key: &str, literal: &Literal) -> Result<(), Vec<Fault>>;
}

/// The fault of a key that `S` does not have.
pub(crate) fn unknown<S: Section>(literal: &Literal) -> Vec<Fault> {
    vec![Fault {
        at: String::new(),
        line: literal.line,
        value: Some(literal.shown()),
        kind: FaultKind::Unknown {
            known: S::keys().iter().map(|key| key.name.to_owned()).collect(),
        },
    }]
}

/// Declares a section: the struct, its defaults and everything derived from them.
///
/// `key: type = default`, then optionally `range a..=b` (both ends as the type's scalar) and
/// `none "word"` (for `Option`: how "no value" is written).
macro_rules! section {
    (
        $(#[doc = $text:literal])+
        pub struct $name:ident {
            $(
                $(#[doc = $key_text:literal])+
                $key:ident: $type:ty = $default:expr $(, range $range:expr)? $(, none $none:literal)?;
            )+
        }
    ) => {
        $(#[doc = $text])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[doc = $key_text])+ pub $key: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $( $key: $default, )+ }
            }
        }

        impl $crate::schema::Section for $name {
            const TEXT: &'static [&'static str] = &[$($text),+];

            fn keys() -> Vec<$crate::schema::KeyDoc> {
                let default = $name::default();
                vec![$( $crate::schema::KeyDoc {
                    name: stringify!($key),
                    text: &[$($key_text),+],
                    default: <$type as $crate::setting::Setting>::show(
                        &default.$key,
                        $crate::schema::word!($($none)?),
                    ),
                    accepts: {
                        #[allow(unused_mut, reason = "keys without a range do not extend the text")]
                        let mut accepts = <$type as $crate::setting::Setting>::accepts(
                            $crate::schema::word!($($none)?),
                        );
                        $( accepts.push_str(&$crate::schema::range_text::<$type>(&$range)); )?
                        accepts
                    },
                }),+]
            }

            fn set(
                &mut self,
                key: &str,
                literal: &$crate::setting::Literal,
            ) -> Result<(), Vec<$crate::setting::Fault>> {
                match key {
                    $( stringify!($key) => {
                        let value = <$type as $crate::setting::Setting>::read(
                            literal,
                            $crate::schema::word!($($none)?),
                        )?;
                        $( $crate::schema::check_range(&value, &$range, literal)?; )?
                        self.$key = value;
                        Ok(())
                    } )+
                    _ => Err($crate::schema::unknown::<$name>(literal)),
                }
            }
        }
    };
}

/// The optional word for "no value".
macro_rules! word {
    () => {
        None
    };
    ($word:literal) => {
        Some($word)
    };
}

/// Declares an enum whose variants are written as words. Words under `later` are refused as not built yet.
macro_rules! choice {
    (
        $(#[doc = $text:literal])+
        pub enum $name:ident {
            $( $(#[doc = $variant_text:literal])+ $variant:ident = $word:literal, )+
        }
        $( later $($later:literal),+ ; )?
    ) => {
        $(#[doc = $text])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
        pub enum $name {
            $( $(#[doc = $variant_text])+ $variant, )+
        }

        impl $name {
            /// The word that stands for it in a configuration.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( $name::$variant => $word, )+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::setting::Setting for $name {
            type Scalar = $name;

            fn accepts(_: Option<&str>) -> String {
                [$( concat!("`", $word, "`") ),+].join(" or ")
            }

            fn read(
                literal: &$crate::setting::Literal,
                none: Option<&str>,
            ) -> Result<Self, Vec<$crate::setting::Fault>> {
                let remedy = format!("use {}", Self::accepts(none));
                match literal.text() {
                    $( Some($word) => Ok($name::$variant), )+
                    $( Some($($later)|+) => {
                        Err($crate::setting::invalid(literal, "not available in this version", remedy))
                    } )?
                    _ => Err($crate::setting::invalid(literal, "not one of the choices", remedy)),
                }
            }

            fn show(&self, _: Option<&str>) -> String {
                $crate::setting::quoted(self.as_str())
            }

            fn scalar(&self) -> Option<&Self> {
                Some(self)
            }
        }
    };
}

pub(crate) use {choice, section, word};

/// The part of the reference that names a range.
pub(crate) fn range_text<T: crate::setting::Setting>(
    range: &std::ops::RangeInclusive<T::Scalar>,
) -> String {
    format!(", from {} to {}", range.start(), range.end())
}

/// Refuses a value outside its range.
pub(crate) fn check_range<T: crate::setting::Setting>(
    value: &T,
    range: &std::ops::RangeInclusive<T::Scalar>,
    literal: &Literal,
) -> Result<(), Vec<Fault>> {
    match value.scalar() {
        Some(scalar) if !range.contains(scalar) => {
            let remedy = format!("give a value from {} to {}", range.start(), range.end());
            Err(crate::setting::invalid(literal, "out of range", remedy))
        }
        _ => Ok(()),
    }
}
