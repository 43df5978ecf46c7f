//! YAML and JSON documents in which every key and value knows its line.
//!
//! Reading is strict where people get hurt: a key given twice, an alias, a tag or a second document is an error, and size and
//! depth are bounded before anything is built. What a scalar means (`no`, `1e-5`, `30m`) is decided when it is known what is
//! wanted in its place, so that a text stays the text that was written.

mod de;
mod edit;
mod error;
mod read;
mod scalar;
mod set;
mod write;

use std::sync::Arc;

pub use de::{from_document, nearest};
pub use edit::{Change, Edit, edit};
pub use error::{DocumentError, shorten};
pub use read::{MAX_BYTES, MAX_DEPTH, read};
pub use scalar::whole;
pub use set::apply_override;
pub use write::{one_line, write};

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file; both counted from 1, columns in characters.
    File {
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In an override of the command line, `key=value`.
    Override(Arc<str>),
}

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub content: Content,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A text, number, boolean or nothing.
    Scalar {
        /// As written, without quotes.
        text: String,
        /// Not in quotes nor a block, so that it may be a number, a boolean or nothing.
        plain: bool,
    },
    /// Values in order.
    List(Vec<Node>),
    /// Keys, each once, with their values in order.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as written, without quotes.
    pub key: String,
    /// Where the key begins.
    pub place: Place,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// Place of what `path` names, such as `space.lr.low` or `trial.command[2]`: of the key where there is one. Where the path
    /// leads to nothing, the place of the innermost thing on the way that exists.
    #[must_use]
    pub fn locate(&self, path: &str) -> &Place {
        let mut node = self;
        let mut place = &self.place;
        let mut rest = path;
        while !rest.is_empty() {
            let Some((step, tail)) = node.step(rest) else {
                break;
            };
            (node, place) = match step {
                Step::Key(index) => match &node.content {
                    Content::Map(entries) => (&entries[index].value, &entries[index].place),
                    _ => break,
                },
                Step::Index(index) => match &node.content {
                    Content::List(items) if index < items.len() => (&items[index], &items[index].place),
                    _ => break,
                },
            };
            rest = tail;
        }
        place
    }

    /// The first step of `path` from this node on and the rest of the path, if the step leads somewhere. Keys may contain dots:
    /// the longest that fits counts.
    fn step<'p>(&self, path: &'p str) -> Option<(Step, &'p str)> {
        match &self.content {
            Content::Scalar { .. } => None,
            Content::Map(entries) => {
                let fits = |entry: &Entry| {
                    let tail = path.strip_prefix(entry.key.as_str())?;
                    (tail.is_empty() || tail.starts_with(['.', '[']))
                        .then(|| tail.strip_prefix('.').unwrap_or(tail))
                };
                let candidates = entries
                    .iter()
                    .enumerate()
                    .filter_map(|(index, entry)| Some((index, fits(entry)?)));
                let (index, tail) = candidates.min_by_key(|(_, tail)| tail.len())?;
                Some((Step::Key(index), tail))
            }
            Content::List(_) => {
                let (number, tail) = match path.strip_prefix('[') {
                    Some(inner) => inner.split_once(']')?,
                    None => path.split_at(path.find(['.', '[']).unwrap_or(path.len())),
                };
                Some((
                    Step::Index(number.parse().ok()?),
                    tail.strip_prefix('.').unwrap_or(tail),
                ))
            }
        }
    }
}

/// Whether two documents mean the same, wherever and however it is written.
#[must_use]
pub fn same(one: &Node, other: &Node) -> bool {
    match (&one.content, &other.content) {
        (Content::Scalar { text: a, plain: p }, Content::Scalar { text: b, plain: q }) => {
            let (left, right) = (scalar::resolve(a, *p), scalar::resolve(b, *q));
            match (left, right) {
                (scalar::Resolved::Null, scalar::Resolved::Null) => true,
                (scalar::Resolved::Text, scalar::Resolved::Text) => a == b,
                // As it is written, so that 1.0 stays a float.
                (scalar::Resolved::Text, _) | (_, scalar::Resolved::Text) => false,
                _ => a == b,
            }
        }
        (Content::List(a), Content::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Content::Map(a), Content::Map(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|(a, b)| a.key == b.key && same(&a.value, &b.value))
        }
        _ => false,
    }
}

/// One step into a node.
enum Step {
    Key(usize),
    Index(usize),
}
