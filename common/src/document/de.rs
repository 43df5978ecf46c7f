//! Serde over a located tree: errors know the path and the line of what was being read.
//!
//! Internally tagged enums and `flatten` copy values into serde's own buffers and lose their places; types that are read from
//! documents use neither.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::{DocumentError, Problem};
use super::scalar::{Resolved, resolve, whole};
use super::{Content, Entry, Node, Place};

/// Reads a `T` from a document.
///
/// # Errors
/// The first thing that does not fit `T`.
pub fn from_document<'a, T: serde::Deserialize<'a>>(node: &'a Node) -> Result<T, DocumentError> {
    within(node, &node.place, &Path::Root, std::marker::PhantomData::<T>)
}

/// The word most like `word`, if one is so alike that a slip is likely.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let tolerance = (length / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= tolerance && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The way from the root to a node.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(Path::Root, key) => super::shorten(key),
            Self::Key(parent, key) => format!("{}.{}", parent.text(), super::shorten(key)),
            Self::Index(parent, index) => format!("{}[{index}]", parent.text()),
        }
    }
}

/// A node, and the way to it.
#[derive(Clone, Copy)]
struct Located<'de, 'p> {
    node: &'de Node,
    /// Where people look for it: its key, if it is more than a scalar.
    place: &'p Place,
    path: &'p Path<'p>,
}

/// Reads the node at the end of `path`.
fn within<'de, T: DeserializeSeed<'de>>(
    node: &'de Node,
    place: &Place,
    path: &Path<'_>,
    seed: T,
) -> Result<T::Value, DocumentError> {
    let located = Located { node, place, path };
    seed.deserialize(located).map_err(|error| located.here(error))
}

impl<'a> Located<'a, '_> {
    fn here(&self, error: DocumentError) -> DocumentError {
        error.at(self.node, self.place, || self.path.text())
    }

    fn wrong_type(&self, expected: &dyn Expected) -> DocumentError {
        self.here(DocumentError::invalid_type(serde::de::Unexpected::Unit, expected))
    }

    fn resolved(&self) -> Option<Resolved> {
        match &self.node.content {
            Content::Scalar { text, plain } => Some(resolve(text, *plain)),
            _ => None,
        }
    }

    /// A whole number where one is wanted, also when written like `1e3`.
    fn integer<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        if let Some(Resolved::Float(number)) = self.resolved()
            && let Some(whole) = whole(number)
        {
            return visitor.visit_i64(whole).map_err(|error| self.here(error));
        }
        self.deserialize_any(visitor)
    }
}

impl<'de> Deserializer<'de> for Located<'de, '_> {
    type Error = DocumentError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        let result = match &self.node.content {
            Content::Scalar { text, .. } => match self.resolved() {
                Some(Resolved::Null) => visitor.visit_unit(),
                Some(Resolved::Bool(value)) => visitor.visit_bool(value),
                Some(Resolved::Unsigned(value)) => visitor.visit_u64(value),
                Some(Resolved::Signed(value)) => visitor.visit_i64(value),
                Some(Resolved::Float(value)) => visitor.visit_f64(value),
                Some(Resolved::Text) | None => visitor.visit_borrowed_str(text),
            },
            Content::List(items) => {
                let mut list = List {
                    items,
                    next: 0,
                    path: self.path,
                };
                visitor.visit_seq(&mut list).and_then(|value| {
                    let expected = list.next;
                    if expected < items.len() {
                        return Err(DocumentError::custom(format!(
                            "expected a list of {expected}, found a list of {}",
                            items.len()
                        )));
                    }
                    Ok(value)
                })
            }
            Content::Map(entries) => visitor.visit_map(Map {
                entries,
                next: 0,
                map: self,
            }),
        };
        result.map_err(|error| self.here(error))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        match self.resolved() {
            Some(Resolved::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        match &self.node.content {
            Content::Scalar { text, .. } if self.resolved() != Some(Resolved::Null) => {
                visitor.visit_borrowed_str(text).map_err(|error| self.here(error))
            }
            _ => Err(self.wrong_type(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        match &self.node.content {
            Content::List(_) => self.deserialize_any(visitor),
            _ => Err(self.wrong_type(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        match &self.node.content {
            Content::Map(_) => self.deserialize_any(visitor),
            _ => Err(self.wrong_type(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DocumentError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        match &self.node.content {
            Content::Scalar { text, .. } if self.resolved() != Some(Resolved::Null) => {
                let text: StrDeserializer<'_, DocumentError> = text.as_str().into_deserializer();
                visitor.visit_enum(text).map_err(|error| self.here(error))
            }
            _ => {
                let expected = format!("one of {}", known.join(", "));
                Err(self.wrong_type(&expected.as_str()))
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DocumentError> {
        visitor
            .visit_newtype_struct(self)
            .map_err(|error| self.here(error))
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.integer(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.integer(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DocumentError> {
        self.integer(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i128 u8 u16 u128 f32 f64 char bytes byte_buf unit unit_struct tuple_struct identifier ignored_any
    }
}

struct List<'de, 'p> {
    items: &'de [Node],
    next: usize,
    path: &'p Path<'p>,
}

impl<'de> SeqAccess<'de> for &mut List<'de, '_> {
    type Error = DocumentError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DocumentError> {
        let Some(node) = self.items.get(self.next) else {
            return Ok(None);
        };
        let path = Path::Index(self.path, self.next);
        self.next += 1;
        within(node, &node.place, &path, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

struct Map<'de, 'p> {
    entries: &'de [Entry],
    next: usize,
    map: Located<'de, 'p>,
}

impl<'de> MapAccess<'de> for Map<'de, '_> {
    type Error = DocumentError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DocumentError> {
        let Some(entry) = self.entries.get(self.next) else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, DocumentError> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|mut error| {
            error.place.get_or_insert_with(|| entry.place.clone());
            error.path = self.map.path.text();
            error
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DocumentError> {
        let Some(entry) = self.entries.get(self.next) else {
            return Err(DocumentError::new(
                &self.map.node.place,
                self.map.path.text(),
                Problem::Other("a value is missing".to_owned()),
            ));
        };
        self.next += 1;
        let place = match entry.value.content {
            Content::Scalar { .. } => &entry.value.place,
            Content::List(_) | Content::Map(_) => &entry.place,
        };
        within(&entry.value, place, &Path::Key(self.map.path, &entry.key), seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len() - self.next)
    }
}
