//! Changes of a text by what it means: only the lines of what is changed are written anew, so that everything else stays as its author wrote it,
//! with comments and blank lines. Where that cannot be done, as in JSON, the whole document is written anew: never is anything lost but its look.

use super::write::{lines, write};
use super::{Content, DocumentError, Entry, MAX_DEPTH, Node, Place, read, same, scalar, shorten};

/// A change of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Keys of maps and numbers of items of lists, from 0, from the outside to the inside. Not empty.
    pub path: Vec<String>,
    /// What is to be there.
    pub change: Change,
}

/// What a change does.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Puts this there, a value as the document would have it. Maps that are missing on the way are made; the number after a list's last item adds one.
    Set(String),
    /// Takes it away, and maps and lists that have nothing else.
    Remove,
    /// Gives it another key.
    Rename(String),
}

impl Edit {
    /// Where it is, such as `space.lr.low`.
    #[must_use]
    pub fn shown_path(&self) -> String {
        let mut shown = String::new();
        for part in &self.path {
            let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            if is_number {
                shown.push_str(&format!("[{part}]"));
            } else {
                let dot = if shown.is_empty() { "" } else { "." };
                shown.push_str(&format!("{dot}{part}"));
            }
        }
        shown
    }
}

/// The text after a change.
///
/// # Errors
/// If the text cannot be read, or the change cannot be made.
pub fn edit(text: &str, change: &Edit) -> Result<String, DocumentError> {
    let before = read(text)?;
    let mut after = before.clone();
    apply(&mut after, change)?;
    if same(&before, &after) {
        return Ok(text.to_owned());
    }
    let patched = patch(text, &before, &after, &change.path)
        .filter(|patched| read(patched).is_ok_and(|patched| same(&patched, &after)));
    Ok(patched.unwrap_or_else(|| write(&after)))
}

/// Makes a change in a tree.
fn apply(document: &mut Node, edit: &Edit) -> Result<(), DocumentError> {
    let refuse = |message: String| {
        Err(DocumentError::other(&Place::File { line: 1, column: 1 }, message).with_path(edit.shown_path()))
    };
    if edit.path.is_empty() || edit.path.len() > MAX_DEPTH {
        return refuse("is no path, such as [\"space\", \"lr\", \"low\"]".to_owned());
    }
    match &edit.change {
        Change::Set(value) => {
            let value = value_of(value).map_err(|error| error.with_path(edit.shown_path()))?;
            set(document, &edit.path, value).or_else(refuse)
        }
        Change::Remove => {
            remove(document, &edit.path);
            Ok(())
        }
        Change::Rename(key) => rename(document, &edit.path, key).or_else(refuse),
    }
}

fn value_of(text: &str) -> Result<Node, DocumentError> {
    if text.trim().is_empty() {
        let content = Content::Scalar {
            text: String::new(),
            plain: true,
        };
        return Ok(Node {
            place: Place::File { line: 1, column: 1 },
            content,
        });
    }
    read(text)
}

fn set(node: &mut Node, path: &[String], value: Node) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else {
        *node = value;
        return Ok(());
    };
    let place = node.place.clone();
    let empty = || Node {
        place: place.clone(),
        content: Content::Map(Vec::new()),
    };
    if let Content::Scalar { text, plain: true } = &node.content
        && scalar::resolve(text, true) == scalar::Resolved::Null
    {
        // A list begins with its first item.
        node.content = if first == "0" {
            Content::List(Vec::new())
        } else {
            Content::Map(Vec::new())
        };
    }
    match &mut node.content {
        Content::Map(entries) => {
            let at = entries
                .iter()
                .position(|entry| entry.key == *first)
                .unwrap_or_else(|| {
                    entries.push(Entry {
                        key: first.clone(),
                        place: place.clone(),
                        value: empty(),
                    });
                    entries.len() - 1
                });
            let value_at = &mut entries[at].value;
            if rest.first().is_some_and(|next| next == "0")
                && matches!(&value_at.content, Content::Map(inside) if inside.is_empty())
            {
                value_at.content = Content::List(Vec::new());
            }
            set(value_at, rest, value)
        }
        Content::List(items) => match first.parse::<usize>() {
            Ok(at) if at <= items.len() => {
                if at == items.len() {
                    items.push(empty());
                }
                set(&mut items[at], rest, value)
            }
            _ => Err(format!(
                "{:?} is not the number of an item, from 0 to {}",
                shorten(first),
                items.len()
            )),
        },
        Content::Scalar { text, .. } => {
            Err(format!("{:?} has no keys; replace it as a whole", shorten(text)))
        }
    }
}

/// Whether `node` has nothing left.
fn remove(node: &mut Node, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    match &mut node.content {
        Content::Map(entries) => {
            let at = entries.iter().position(|entry| entry.key == *first);
            if let Some(at) = at
                && remove(&mut entries[at].value, rest)
            {
                entries.remove(at);
                return entries.is_empty();
            }
            false
        }
        Content::List(items) => match first.parse::<usize>() {
            Ok(at) if at < items.len() && remove(&mut items[at], rest) => {
                items.remove(at);
                items.is_empty()
            }
            _ => false,
        },
        Content::Scalar { .. } => false,
    }
}

fn rename(node: &mut Node, path: &[String], key: &str) -> Result<(), String> {
    let missing = |part: &str| format!("there is no {:?}", shorten(part));
    match (path, &mut node.content) {
        ([last], Content::Map(entries)) => {
            if key.is_empty() {
                return Err("a name must not be empty".to_owned());
            }
            if last != key && entries.iter().any(|entry| entry.key == key) {
                return Err(format!(
                    "there is {:?} already; choose another name",
                    shorten(key)
                ));
            }
            let entry = entries
                .iter_mut()
                .find(|entry| entry.key == *last)
                .ok_or_else(|| missing(last))?;
            key.clone_into(&mut entry.key);
            Ok(())
        }
        ([first, rest @ ..], Content::Map(entries)) => {
            let entry = entries
                .iter_mut()
                .find(|entry| entry.key == *first)
                .ok_or_else(|| missing(first))?;
            rename(&mut entry.value, rest, key)
        }
        ([first, ..], _) => Err(missing(first)),
        ([], _) => Err("is no path".to_owned()),
    }
}

/// What stands below each other in a text: a map of which each key begins a line.
struct Block<'a> {
    entries: &'a [Entry],
    /// The line after its last one.
    end: usize,
}

/// The text with the lines of what was changed written anew; none if it does not stand on lines of its own.
fn patch(text: &str, before: &Node, after: &Node, path: &[String]) -> Option<String> {
    let rows: Vec<&str> = text.split_inclusive('\n').collect();
    let mut block = Block {
        entries: block_of(before, &rows)?,
        end: rows.len() + 1,
    };
    let mut now = after;
    for (depth, key) in path.iter().enumerate() {
        let Some(at) = block.entries.iter().position(|entry| entry.key == *key) else {
            // New: below the last one.
            let last = block.entries.last()?;
            let (_, end) = extent(&block, block.entries.len() - 1, &rows)?;
            let added = lines(key, value_of_key(now, key)?, column_of(&last.place)? - 1);
            return Some(spliced(&rows, end, end, &added));
        };
        let entry = &block.entries[at];
        let (start, end) = extent(&block, at, &rows)?;
        let indent = column_of(&entry.place)? - 1;
        let Some(wanted) = value_of_key(now, key) else {
            // Removed, or of another name: the one that stands in its place.
            let Content::Map(entries) = &now.content else {
                return None;
            };
            if entries.len() < block.entries.len() {
                return (!entries.is_empty()).then(|| spliced(&rows, start, end, ""));
            }
            let renamed = entries.get(at)?;
            return Some(spliced(
                &rows,
                start,
                end,
                &lines(&renamed.key, &renamed.value, indent),
            ));
        };
        let inside = (depth + 1 < path.len())
            .then(|| block_of(&entry.value, &rows))
            .flatten();
        match inside {
            Some(entries) if matches!(&wanted.content, Content::Map(now) if !now.is_empty()) => {
                block = Block { entries, end };
                now = wanted;
            }
            _ => {
                let mut new = lines(key, wanted, indent);
                if end == start + 1 && new.lines().count() == 1 {
                    keep_comment(rows.get(start - 1)?, entry, &mut new);
                }
                return Some(spliced(&rows, start, end, &new));
            }
        }
    }
    None
}

fn value_of_key<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.content {
        Content::Map(entries) => entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value),
        Content::Scalar { .. } | Content::List(_) => None,
    }
}

/// The entries of a map of which each key begins a line.
fn block_of<'a>(node: &'a Node, rows: &[&str]) -> Option<&'a [Entry]> {
    let Content::Map(entries) = &node.content else {
        return None;
    };
    let begins_line = |entry: &Entry| {
        let row = line_of(&entry.place).and_then(|line| rows.get(line - 1));
        let before = column_of(&entry.place).map_or(0, |column| column - 1);
        row.is_some_and(|row| row.chars().take(before).all(|c| c == ' '))
    };
    (!entries.is_empty() && entries.iter().all(begins_line)).then_some(entries)
}

/// First line of an entry and the line after its last one, without the comments and blank lines before what follows.
fn extent(block: &Block<'_>, at: usize, rows: &[&str]) -> Option<(usize, usize)> {
    let start = line_of(&block.entries.get(at)?.place)?;
    let mut end = match block.entries.get(at + 1) {
        Some(next) => line_of(&next.place)?,
        None => block.end,
    };
    // What is further to the right may be a line of a text.
    let indent = column_of(&block.entries[at].place)? - 1;
    let says_nothing = |row: &&str| {
        let said = row.trim_start();
        said.is_empty() || (said.starts_with('#') && row.len() - said.len() <= indent)
    };
    while end > start + 1 && rows.get(end - 2).is_none_or(says_nothing) {
        end -= 1;
    }
    Some((start, end))
}

/// Puts the comment at the end of a line to what stands in its place.
fn keep_comment(row: &str, entry: &Entry, new: &mut String) {
    let row = row.trim_end();
    let Some((said, comment)) = row.rfind(" #").map(|at| row.split_at(at)) else {
        return;
    };
    let alone = read(said.trim_start()).ok();
    let is_comment = alone
        .as_ref()
        .and_then(|alone| value_of_key(alone, &entry.key))
        .is_some_and(|value| same(value, &entry.value));
    if is_comment {
        let spaces = said.len() - said.trim_end().len();
        *new = format!("{}{}{comment}\n", new.trim_end(), " ".repeat(spaces));
    }
}

/// The rows with those from line `start` on, before line `end`, replaced.
fn spliced(rows: &[&str], start: usize, end: usize, new: &str) -> String {
    let mut text: String = rows[..(start - 1).min(rows.len())].concat();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(new);
    text.push_str(&rows[(end - 1).min(rows.len())..].concat());
    text
}

fn line_of(place: &Place) -> Option<usize> {
    match place {
        Place::File { line, .. } => Some(*line),
        Place::Override(_) => None,
    }
}

fn column_of(place: &Place) -> Option<usize> {
    match place {
        Place::File { column, .. } => Some(*column),
        Place::Override(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# What it is about.
name: digits   # unique
objective: {metric: acc, goal: maximize}

space:
  # The most important one.
  lr:    {type: float, low: 1e-5, high: 0.1}   # log later
  depth:
    type: int
    low: 1   # at least one layer
    high: 3

strategy: random
# Cheap ones first.
early_stopping:
  - rule: median   # the usual one
    warmup_steps: 5
budget:
  trials: 8
";

    fn changed(text: &str, path: &[&str], change: Change) -> String {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        edit(text, &Edit { path, change }).unwrap()
    }

    fn set_to(text: &str, path: &[&str], value: &str) -> String {
        changed(text, path, Change::Set(value.to_owned()))
    }

    /// Lines of `now` that are not in `TEXT`, and those of `TEXT` that are not in `now`.
    fn differences(now: &str) -> (Vec<&str>, Vec<&str>) {
        let lines = |text, other: &str| -> Vec<&str> {
            str::lines(text)
                .filter(|line| !other.lines().any(|other| other == *line))
                .collect()
        };
        (
            lines(now, TEXT),
            TEXT.lines()
                .filter(|line| !now.lines().any(|other| other == *line))
                .collect(),
        )
    }

    #[test]
    fn only_what_is_changed_is_written_anew() {
        let now = set_to(TEXT, &["space", "depth", "low"], "2");
        assert_eq!(differences(&now).0, ["    low: 2   # at least one layer"]);
        let now = set_to(TEXT, &["space", "lr", "scale"], "log");
        assert_eq!(
            differences(&now).0,
            ["  lr: {type: float, low: 1e-5, high: 0.1, scale: log}   # log later"]
        );
        let now = set_to(TEXT, &["name"], "mnist");
        assert_eq!(differences(&now).0, ["name: mnist   # unique"]);
        let now = set_to(TEXT, &["space", "width"], "{type: ordinal, choices: [8, 16]}");
        assert_eq!(
            differences(&now),
            (vec!["  width: {type: ordinal, choices: [8, 16]}"], vec![])
        );
        assert!(now.contains("    high: 3\n  width"), "{now}");
        let now = set_to(TEXT, &["budget", "parallel"], "2");
        assert!(now.ends_with("budget:\n  trials: 8\n  parallel: 2\n"), "{now}");
        let now = set_to(TEXT, &["trial", "command"], "[python, train.py]");
        assert!(
            now.ends_with("  trials: 8\ntrial: {command: [python, train.py]}\n"),
            "{now}"
        );
        let now = set_to(TEXT, &["early_stopping", "1", "rule"], "diverging");
        assert!(
            now.contains(
                "early_stopping:\n  - {rule: median, warmup_steps: 5}\n  - {rule: diverging}\nbudget"
            ),
            "{now}"
        );
    }

    #[test]
    fn what_is_removed_takes_along_what_has_nothing_else() {
        let now = changed(TEXT, &["space", "lr"], Change::Remove);
        assert_eq!(
            differences(&now),
            (
                vec![],
                vec!["  lr:    {type: float, low: 1e-5, high: 0.1}   # log later"]
            )
        );
        let now = changed(TEXT, &["budget", "trials"], Change::Remove);
        assert_eq!(differences(&now), (vec![], vec!["budget:", "  trials: 8"]));
        let now = changed(TEXT, &["early_stopping", "0"], Change::Remove);
        assert!(now.contains("# Cheap ones first.\nbudget"), "{now}");
        assert_eq!(changed(TEXT, &["nothing", "here"], Change::Remove), TEXT);
    }

    #[test]
    fn another_name_leaves_a_parameter_in_its_place() {
        let now = changed(TEXT, &["space", "lr"], Change::Rename("rate".to_owned()));
        assert!(
            now.contains("  rate: {type: float, low: 1e-5, high: 0.1}\n  depth:"),
            "{now}"
        );
        let path = vec!["space".to_owned(), "lr".to_owned()];
        let taken = Edit {
            path,
            change: Change::Rename("depth".to_owned()),
        };
        let error = edit(TEXT, &taken).unwrap_err();
        assert_eq!(
            error.to_string(),
            "space.lr: there is \"depth\" already; choose another name"
        );
    }

    #[test]
    fn what_stands_on_one_line_is_written_anew_as_a_whole() {
        let json = r#"{"name": "a", "space": {"x": {"type": "float", "low": 0, "high": 1}}}"#;
        let now = set_to(json, &["space", "x", "low"], "-1");
        assert_eq!(now, "name: a\nspace:\n  x: {type: float, low: -1, high: 1}\n");
        // A text that has what looks like a comment.
        let text = "name: a\nmessage: |\n  one\n  # two\nbudget: {trials: 1}\n";
        let now = set_to(text, &["message"], "\"x # y\"");
        assert_eq!(now, "name: a\nmessage: \"x # y\"\nbudget: {trials: 1}\n");
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (path, value, message) in [
            (
                &["strategy", "seed"][..],
                "1",
                "strategy.seed: \"random\" has no keys; replace it as a whole",
            ),
            (
                &["early_stopping", "7"],
                "1",
                "early_stopping[7]: \"7\" is not the number of an item, from 0 to 1",
            ),
            (&["name"], "[1", "name: not well-formed YAML"),
            (&[], "1", "is no path"),
        ] {
            let path = path.iter().map(|part| (*part).to_owned()).collect();
            let error = edit(
                TEXT,
                &Edit {
                    path,
                    change: Change::Set(value.to_owned()),
                },
            )
            .unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }
}
