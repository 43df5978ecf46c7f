//! Text to tree. Reads events of a YAML parser, of which JSON is all but a subset, and keeps every place.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::{Content, DocumentError, Entry, Node, Place};

/// Bytes that a document may have: the largest study file anybody wrote by hand is far below.
pub const MAX_BYTES: usize = 1 << 20;
/// Lists and maps that may lie within each other.
pub const MAX_DEPTH: usize = 64;

/// Reads a YAML or JSON text.
///
/// # Errors
/// If it is too large, nests too deeply, is malformed, gives a key twice, or uses aliases, tags or several documents.
pub fn read(text: &str) -> Result<Node, DocumentError> {
    let start = Place::File { line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        let message = format!(
            "{} bytes are too many; a study file has at most {MAX_BYTES}",
            text.len()
        );
        return Err(DocumentError::other(&start, message));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let as_yaml = yaml_of_json(text);
    let mut parser = Parser::new_from_str(as_yaml.as_deref().unwrap_or(text));
    let mut tree = Tree::default();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let message = match error.info() {
                "recursion limit exceeded" => too_deep(),
                info => format!("not well-formed YAML: {info}"),
            };
            DocumentError::other(&place(*error.marker()), message)
        })?;
        tree.take(event, &place(span.start))?;
    }
    tree.root
        .ok_or_else(|| DocumentError::other(&start, "the document is empty"))
}

/// A JSON text in the words of YAML, if `text` is JSON: pairs of surrogates, with which JSON escapes characters such as emoji,
/// are unknown to YAML, and tabs may not indent. Lines stay what they are.
fn yaml_of_json(text: &str) -> Option<String> {
    if !text.trim_start().starts_with(['{', '['])
        || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err()
    {
        return None;
    }
    let mut yaml = String::with_capacity(text.len());
    let mut in_string = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        if !in_string {
            in_string = c == '"';
            yaml.push(if c == '\t' { ' ' } else { c });
        } else if c == '\\' {
            if let Some(character) = surrogate_pair(rest) {
                yaml.push_str(&format!("\\U{:08X}", u32::from(character)));
                taken = 12;
            } else {
                // The escaped character goes along, so that an escaped quote does not end the string.
                taken += rest[taken..].chars().next().map_or(0, char::len_utf8);
                yaml.push_str(&rest[..taken]);
            }
        } else {
            in_string = c != '"';
            yaml.push(c);
        }
        rest = &rest[taken..];
    }
    Some(yaml)
}

/// The character that `text` begins with, if it begins with two escaped surrogates.
fn surrogate_pair(text: &str) -> Option<char> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    char::decode_utf16([unit(0)?, unit(6)?])
        .next()?
        .ok()
        .filter(|c| u32::from(*c) > 0xffff)
}

fn too_deep() -> String {
    format!("nests too deeply; at most {MAX_DEPTH} lists and maps may lie within each other")
}

fn place(marker: Marker) -> Place {
    Place::File {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// A list or map that is not complete.
struct Open {
    place: Place,
    content: Content,
    /// Key of a map that waits for its value.
    key: Option<(String, Place)>,
    /// Lines of a map's keys.
    seen: HashMap<String, usize>,
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Node>,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, place: &Place) -> Result<(), DocumentError> {
        match event {
            Event::Alias(_) => Err(DocumentError::other(
                place,
                "aliases (*name) are not supported; write the value out",
            )),
            Event::Scalar(_, _, _, Some(tag))
            | Event::SequenceStart(_, Some(tag))
            | Event::MappingStart(_, Some(tag)) => {
                let prefix = if tag.is_yaml_core_schema() { "!!" } else { "!" };
                let tag = super::shorten(&tag.suffix);
                let message =
                    format!("tags such as {prefix}{tag} are not supported; put a text in quotes instead");
                Err(DocumentError::other(place, message))
            }
            Event::Scalar(text, style, _, None) => {
                self.scalar(text.into_owned(), style == ScalarStyle::Plain, place)
            }
            Event::SequenceStart(..) => self.begin(Content::List(Vec::new()), place),
            Event::MappingStart(..) => self.begin(Content::Map(Vec::new()), place),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => self.add(Node {
                    place: done.place,
                    content: done.content,
                }),
                None => Ok(()),
            },
            Event::DocumentStart(_) if self.root.is_some() => Err(DocumentError::other(
                place,
                "a second document begins here; a study file holds one",
            )),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(&mut self, text: String, plain: bool, place: &Place) -> Result<(), DocumentError> {
        match self.open.last_mut() {
            Some(
                map @ Open {
                    content: Content::Map(_),
                    key: None,
                    ..
                },
            ) => {
                if text.is_empty() {
                    return Err(DocumentError::other(place, "a key is missing before this \":\""));
                }
                let line = match place {
                    Place::File { line, .. } => *line,
                    Place::Override(_) => 0,
                };
                if let Some(first) = map.seen.insert(text.clone(), line) {
                    let parent = self.path_of_innermost();
                    let inside = if parent.is_empty() {
                        String::new()
                    } else {
                        format!(" in {parent}")
                    };
                    let key = super::shorten(&text);
                    let message = format!("the key {key:?} is given twice{inside}, first on line {first}");
                    return Err(DocumentError::other(place, message));
                }
                map.key = Some((text, place.clone()));
                Ok(())
            }
            _ => self.add(Node {
                place: place.clone(),
                content: Content::Scalar { text, plain },
            }),
        }
    }

    fn begin(&mut self, content: Content, place: &Place) -> Result<(), DocumentError> {
        if self.open.len() == MAX_DEPTH {
            return Err(DocumentError::other(place, too_deep()));
        }
        if matches!(
            self.open.last(),
            Some(Open {
                content: Content::Map(_),
                key: None,
                ..
            })
        ) {
            let message =
                "a list or a map cannot be a key; if a placeholder such as {lr} is meant, put it in quotes";
            return Err(DocumentError::other(place, message));
        }
        self.open.push(Open {
            place: place.clone(),
            content,
            key: None,
            seen: HashMap::new(),
        });
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn add(&mut self, node: Node) -> Result<(), DocumentError> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open {
                content: Content::List(items),
                ..
            }) => items.push(node),
            Some(Open {
                content: Content::Map(entries),
                key,
                ..
            }) => {
                if let Some((key, place)) = key.take() {
                    entries.push(Entry {
                        key,
                        place,
                        value: node,
                    });
                }
            }
            Some(Open {
                content: Content::Scalar { .. },
                ..
            }) => {}
        }
        Ok(())
    }

    /// Path of the list or map that is being filled.
    fn path_of_innermost(&self) -> String {
        let mut path = String::new();
        for open in self.open.iter().take(self.open.len().saturating_sub(1)) {
            match (&open.content, &open.key) {
                (Content::List(items), _) => path.push_str(&format!("[{}]", items.len())),
                (_, Some((key, _))) => {
                    let dot = if path.is_empty() { "" } else { "." };
                    path.push_str(&format!("{dot}{}", super::shorten(key)));
                }
                _ => {}
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(text: &str) -> String {
        let error = read(text).unwrap_err();
        match &error.place {
            Some(Place::File { line, column }) => format!("{line}:{column}: {error}"),
            _ => error.to_string(),
        }
    }

    #[test]
    fn places_are_those_of_the_text() {
        let node = read("a: 1\nspace:\n  model.depth: {low: [2, 3]}\n").unwrap();
        assert_eq!(
            node.locate("space.model.depth.low[1]"),
            &Place::File { line: 3, column: 26 }
        );
        assert_eq!(
            node.locate("space.model.depth.high"),
            &Place::File { line: 3, column: 3 }
        );
        assert_eq!(node.locate("a"), &Place::File { line: 1, column: 1 });
        assert_eq!(node.locate("nowhere"), &node.place);
    }

    #[test]
    fn json_is_read_with_its_own_escapes_and_tabs() {
        let node = read("{\n\t\"a\\/\\\"\": \"\\ud83d\\ude00 \\u00e9\\\\u0041\",\n\t\"b\":[1,{\"c\":null}]}")
            .unwrap();
        let Content::Map(entries) = &node.content else {
            panic!("not a map")
        };
        assert_eq!(entries[0].key, "a/\"");
        assert_eq!(
            entries[0].value.content,
            Content::Scalar {
                text: "😀 é\\u0041".to_owned(),
                plain: false
            }
        );
        assert_eq!(node.locate("b[1].c"), &Place::File { line: 3, column: 10 });
    }

    #[test]
    fn what_could_hurt_is_refused_with_its_line() {
        let cases = [
            ("", "1:1: the document is empty"),
            (
                "a: 1\nb:\n  c: 1\n  c: 2\n",
                "4:3: the key \"c\" is given twice in b, first on line 3",
            ),
            (
                "{\"a\": 1,\n \"a\": 2}",
                "2:2: the key \"a\" is given twice, first on line 1",
            ),
            (
                "a: &x 1\nb: *x\n",
                "2:4: aliases (*name) are not supported; write the value out",
            ),
            (
                "a: !!str 5\n",
                "1:4: tags such as !!str are not supported; put a text in quotes instead",
            ),
            (
                "a: 1\n---\nb: 2\n",
                "2:1: a second document begins here; a study file holds one",
            ),
            (
                "{[a]: 1}",
                "1:2: a list or a map cannot be a key; if a placeholder such as {lr} is meant, put it in quotes",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(refusal(text), message);
        }
        assert!(refusal("a: [1, 2\nb: 3").contains("not well-formed YAML"));
    }

    #[test]
    fn size_depth_and_alias_bombs_are_refused_by_their_limits() {
        assert_eq!(
            refusal(&"a".repeat(10_000_000)),
            "1:1: 10000000 bytes are too many; a study file has at most 1048576"
        );
        let deep = "nests too deeply; at most 64 lists and maps may lie within each other";
        assert_eq!(refusal(&"- ".repeat(1000)), format!("1:129: {deep}"));
        // The parser has a limit of its own for what it reads ahead.
        for text in ["[".repeat(1000), "{a: ".repeat(200_000), "[".repeat(1_000_000)] {
            assert!(refusal(&text).ends_with(deep), "{}", refusal(&text));
        }
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n";
        assert_eq!(
            refusal(bomb),
            "2:8: aliases (*name) are not supported; write the value out"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn no_text_panics(text in ".{0,80}", yaml in "[-:?,\\[\\]{}&*!|>'\"%@`# \\n\\tab0\\\\]{0,60}") {
            let _ = read(&text);
            let _ = read(&yaml);
        }

        /// JSON reads as the same tree whoever wrote it.
        #[test]
        fn any_json_string_survives(text in any::<String>()) {
            let json = serde_json::to_string(&[&text]).unwrap();
            let node = read(&json).unwrap();
            let Content::List(items) = node.content else { panic!("not a list") };
            prop_assert_eq!(&items[0].content, &Content::Scalar { text, plain: false });
        }
    }
}
