//! Overrides from a command line, `budget.trials=10`: they change the document before it is read as anything, so that a wrong
//! path or value is reported like the same slip in the file.

use std::sync::Arc;

use super::{Content, DocumentError, Entry, MAX_DEPTH, Node, Place, Step, read, shorten};

/// Puts a value into `document`: `argument` is a path such as `space.lr.low` or `early_stopping[0].patience`, an equals sign,
/// and a value as the file would have it. Maps that are missing on the way are made; the index after a list's last item adds one.
///
/// # Errors
/// If `argument` does not have that form, or its path leads through something that is neither a map nor a list.
pub fn apply_override(document: &mut Node, argument: &str) -> Result<(), DocumentError> {
    let place = Place::Override(Arc::from(shorten(argument).as_str()));
    let Some((path, text)) = argument
        .split_once('=')
        .filter(|(path, _)| !path.trim().is_empty())
    else {
        return Err(DocumentError::other(
            &place,
            "expected key=value, such as budget.trials=10",
        ));
    };
    let value = parse(text, &place)?;
    let mut node = document;
    let mut rest = path.trim();
    for _ in 0..MAX_DEPTH {
        if node.step(rest).is_none() {
            make_room(node, rest, path, &place)?;
        }
        let Some((step, tail)) = node.step(rest) else {
            break;
        };
        let next = match (step, &mut node.content) {
            (Step::Key(index), Content::Map(entries)) => {
                // From here on errors inside are those of the override, not of a line that never said this.
                if tail.is_empty() {
                    entries[index].place = place.clone();
                }
                &mut entries[index].value
            }
            (Step::Index(index), Content::List(items)) => match items.len() {
                length if index > length => {
                    let message = format!("{}: there are only {length} items", shorten(path));
                    return Err(DocumentError::other(&place, message));
                }
                length => {
                    if index == length {
                        items.push(empty_map(&place));
                    }
                    &mut items[index]
                }
            },
            _ => break,
        };
        if tail.is_empty() {
            *next = value;
            return Ok(());
        }
        node = next;
        rest = tail;
    }
    Err(DocumentError::other(
        &place,
        format!("{:?} is not a path such as space.lr.low", shorten(path)),
    ))
}

/// Makes the key that `rest` begins with, where it is missing.
fn make_room(node: &mut Node, rest: &str, path: &str, place: &Place) -> Result<(), DocumentError> {
    let key = &rest[..rest.find(['.', '[']).unwrap_or(rest.len())];
    if key.is_empty() {
        return Err(DocumentError::other(
            place,
            format!("{:?} is not a path such as space.lr.low", shorten(path)),
        ));
    }
    if let Content::Scalar { text, plain: true } = &node.content
        && text.is_empty()
    {
        node.content = Content::Map(Vec::new());
    }
    match &mut node.content {
        Content::Map(entries) => {
            entries.push(Entry {
                key: key.to_owned(),
                place: place.clone(),
                value: empty_map(place),
            });
            Ok(())
        }
        Content::List(_) => {
            let message = format!(
                "{}: {:?} is not the number of an item, from 0",
                shorten(path),
                shorten(key)
            );
            Err(DocumentError::other(place, message))
        }
        Content::Scalar { text, .. } => {
            let message = format!(
                "{}: {:?} has no keys, it stands before {:?}",
                shorten(path),
                shorten(text),
                shorten(rest)
            );
            Err(DocumentError::other(place, message))
        }
    }
}

fn empty_map(place: &Place) -> Node {
    Node {
        place: place.clone(),
        content: Content::Map(Vec::new()),
    }
}

/// The value of an override, every part of it at the override's place.
fn parse(text: &str, place: &Place) -> Result<Node, DocumentError> {
    let mut node = if text.trim().is_empty() {
        Node {
            place: place.clone(),
            content: Content::Scalar {
                text: String::new(),
                plain: true,
            },
        }
    } else {
        read(text).map_err(|error| DocumentError {
            place: Some(place.clone()),
            ..error
        })?
    };
    relocate(&mut node, place);
    Ok(node)
}

/// Recursive, on what [`read`] bounded in depth.
fn relocate(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.content {
        Content::Scalar { .. } => {}
        Content::List(items) => items.iter_mut().for_each(|item| relocate(item, place)),
        Content::Map(entries) => {
            for entry in entries {
                entry.place = place.clone();
                relocate(&mut entry.value, place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overridden(text: &str, argument: &str) -> Result<Node, String> {
        let mut document = read(text).unwrap();
        apply_override(&mut document, argument)
            .map(|()| document)
            .map_err(|error| error.to_string())
    }

    fn scalar<'a>(node: &'a Node, path: &[&str]) -> &'a str {
        let mut node = node;
        for key in path {
            node = match &node.content {
                Content::Map(entries) => &entries.iter().find(|entry| entry.key == *key).unwrap().value,
                Content::List(items) => &items[key.parse::<usize>().unwrap()],
                Content::Scalar { .. } => panic!("{key} is beyond a scalar"),
            };
        }
        match &node.content {
            Content::Scalar { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_are_replaced_and_added() {
        let text = "budget: {trials: 5}\nspace:\n  model.depth: {low: 1}\nlist: [a, b]\nempty:\n";
        assert_eq!(
            scalar(
                &overridden(text, "budget.trials=10").unwrap(),
                &["budget", "trials"]
            ),
            "10"
        );
        assert_eq!(
            scalar(
                &overridden(text, "budget.parallel = 2").unwrap(),
                &["budget", "parallel"]
            ),
            "2"
        );
        assert_eq!(
            scalar(
                &overridden(text, "space.model.depth.low=3").unwrap(),
                &["space", "model.depth", "low"]
            ),
            "3"
        );
        assert_eq!(
            scalar(&overridden(text, "list[1]=c=d").unwrap(), &["list", "1"]),
            "c=d"
        );
        assert_eq!(
            scalar(&overridden(text, "list.2={x: y}").unwrap(), &["list", "2", "x"]),
            "y"
        );
        assert_eq!(
            scalar(
                &overridden(text, "trial.env.A=1").unwrap(),
                &["trial", "env", "A"]
            ),
            "1"
        );
        assert_eq!(
            scalar(&overridden(text, "empty.x=1").unwrap(), &["empty", "x"]),
            "1"
        );
        let node = overridden(text, "budget.trials=10").unwrap();
        assert_eq!(
            node.locate("budget.trials"),
            &Place::Override("budget.trials=10".into())
        );
    }

    #[test]
    fn malformed_overrides_are_refused() {
        let text = "budget: {trials: 5}\nlist: [a, b]\n";
        let cases = [
            ("budget.trials", "expected key=value, such as budget.trials=10"),
            ("=1", "expected key=value, such as budget.trials=10"),
            (
                "budget.trials.x=1",
                "budget.trials.x: \"5\" has no keys, it stands before \"x\"",
            ),
            ("list.x=1", "list.x: \"x\" is not the number of an item, from 0"),
            ("list[7]=1", "list[7]: there are only 2 items"),
            ("a..b=1", "\"a..b\" is not a path such as space.lr.low"),
            (
                "a=*x",
                "not well-formed YAML: while parsing node, found unknown anchor",
            ),
        ];
        for (argument, message) in cases {
            assert_eq!(overridden(text, argument).unwrap_err(), message, "{argument}");
        }
        let endless = format!("{}=1", "a.".repeat(5000) + "a");
        assert!(
            overridden(text, &endless)
                .unwrap_err()
                .ends_with("is not a path such as space.lr.low")
        );
    }
}
