//! What is told to those who watch a study: messages, and the same as server-sent events.

use std::sync::OnceLock;

use bytes::Bytes;
use tunesmith_proto::json::to_value;
use tunesmith_proto::v1;
use tunesmith_proto::v1::watch_study_response::Event;

/// Messages that are told at the same time.
#[derive(Debug)]
pub(crate) struct News {
    messages: Vec<v1::WatchStudyResponse>,
    /// Whether the study is over with them.
    pub(super) is_last: bool,
    /// All of them as events, without and with points; written when they are wanted for the first time.
    events: [OnceLock<Bytes>; 2],
}

/// What somebody wants who watches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// What was committed after this revision; everything if none.
    pub(super) after: Option<u64>,
    /// Points, too.
    pub(super) points: bool,
}

impl Wanted {
    fn is_new(self, message: &v1::WatchStudyResponse) -> bool {
        self.after.is_none_or(|after| message.revision > after)
    }

    fn has(self, message: &v1::WatchStudyResponse) -> bool {
        self.is_new(message) && (self.points || !matches!(message.event, Some(Event::Points(_))))
    }
}

impl News {
    pub(super) fn new(messages: Vec<v1::WatchStudyResponse>, is_last: bool) -> Self {
        Self {
            messages,
            is_last,
            events: Default::default(),
        }
    }

    /// Those that are wanted.
    pub(crate) fn messages(&self, wanted: Wanted) -> Vec<v1::WatchStudyResponse> {
        let wanted = self.messages.iter().filter(|message| wanted.has(message));
        wanted.cloned().collect()
    }

    /// Those that are wanted, as events. The same bytes for all who want the same.
    pub(crate) fn events(&self, wanted: Wanted) -> Bytes {
        let write = || {
            let wanted = self.messages.iter().filter(|message| wanted.has(message));
            wanted.map(event).collect::<String>().into()
        };
        if self.messages.iter().all(|message| wanted.is_new(message)) {
            self.events[usize::from(wanted.points)].get_or_init(write).clone()
        } else {
            write()
        }
    }
}

fn event(message: &v1::WatchStudyResponse) -> String {
    let name = match message.event {
        Some(Event::Study(_)) => "study",
        Some(Event::Trial(_)) => "trial",
        Some(Event::Points(_)) => "points",
        None => "other",
    };
    // JSON has no line breaks, which would end the event.
    format!(
        "event: {name}\ndata: {}\n\n",
        to_value(message).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(revision: u64, event: Event) -> v1::WatchStudyResponse {
        v1::WatchStudyResponse {
            revision,
            committed_at: None,
            event: Some(event),
        }
    }

    #[test]
    fn everybody_gets_what_is_new_to_them_and_the_same_bytes_if_that_is_all() {
        let trial = |note: &str| {
            Event::Trial(v1::Trial {
                note: note.to_owned(),
                ..Default::default()
            })
        };
        let news = News::new(
            vec![
                message(4, trial("a\nb")),
                message(5, Event::Points(v1::TrialPoints::default())),
                message(6, trial("c")),
            ],
            false,
        );
        let wanted = |after, points| Wanted { after, points };
        let text = |wanted| String::from_utf8(news.events(wanted).to_vec()).unwrap();
        let events = |wanted| text(wanted).matches("event: ").count();
        assert_eq!(events(wanted(None, true)), 3);
        assert_eq!(events(wanted(Some(3), false)), 2);
        assert_eq!(events(wanted(Some(4), true)), 2);
        assert_eq!(events(wanted(Some(4), false)), 1);
        assert_eq!(events(wanted(Some(6), true)), 0);
        let whole = news.events(wanted(Some(3), true));
        assert_eq!(
            whole.as_ptr(),
            news.events(wanted(None, true)).as_ptr(),
            "written once"
        );
        assert_eq!(news.messages(wanted(Some(4), true)).len(), 2);
        let first = text(wanted(None, true));
        assert!(first.starts_with("event: trial\ndata: {"), "{first}");
        assert_eq!(first.lines().count(), 9, "three lines for each: {first}");
    }
}
