//! Points at which a test may have this program die as by `kill -9`: only with the feature `crash-points`, which builds for use refuse.
//!
//! Without the feature [`crash_point!`] is nothing at all, and this file has nothing else in it. A point must not do anything but
//! end the program: what runs in tests is what runs in use.
//!
//! With it, the file that the variable `TUNESMITH_CRASH_FILE` names may hold the name of a point. The program dies when it gets
//! there, and removes the file just before, which tells the test that it was this point and lets the next start go on.

/// Dies here if a test wants it. Nothing without the feature `crash-points`.
macro_rules! crash_point {
    ($point:ident) => {
        #[cfg(feature = "crash-points")]
        $crate::crash::reached($crate::crash::Point::$point);
    };
    ($point:ident, after a moment) => {
        #[cfg(feature = "crash-points")]
        $crate::crash::after_a_moment($crate::crash::Point::$point).await;
    };
}
pub(crate) use crash_point;

#[cfg(all(feature = "crash-points", not(debug_assertions)))]
compile_error!("the feature crash-points is for tests: a build for use must not have it");

#[cfg(feature = "crash-points")]
pub use armed::{NAMES, Point};
#[cfg(feature = "crash-points")]
pub(crate) use armed::{after_a_moment, reached, while_under_way};

#[cfg(feature = "crash-points")]
mod armed {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    /// Time for what was just sent to others to leave the program.
    const LEAVES: Duration = Duration::from_millis(150);
    /// Time in which a statement has reached the database, and hardly an answer came back.
    const REACHES: Duration = Duration::from_millis(1);

    /// Declares the points, with their names for tests. The first word of a name says what gets the program there; `sqlite` and
    /// `postgres` in it, that only this store does.
    macro_rules! points {
        ($($(#[$text:meta])* $point:ident = $name:literal,)+) => {
            /// A point at which the program can die.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Point {
                $($(#[$text])* $point,)+
            }

            /// Names of all points.
            pub const NAMES: &[&str] = &[$($name,)+];

            impl Point {
                fn name(self) -> &'static str {
                    match self {
                        $(Self::$point => $name,)+
                    }
                }
            }
        };
    }

    points! {
        /// A study is about to be stored.
        BeforeCreate = "create-before",
        /// A study is stored; its caller does not know.
        Created = "create-committed",
        /// A study is about to be taken from its owner before.
        BeforeTake = "load-before-take",
        /// The owner's epoch is advanced in a transaction that is open.
        TakeSwapped = "load-sqlite-taking",
        /// The study is taken; nothing is read.
        Taken = "load-taken",
        /// Its trials are read; attempts and points are not.
        TrialsLoaded = "load-trials-read",
        /// All of it is read; nothing is served.
        Loaded = "load-read",
        /// What was decided is not sent to the database.
        BeforeCommit = "commit-before",
        /// The owner's row is advanced in a transaction that is open; nothing else is written.
        Swapped = "commit-sqlite-swapped",
        /// Trials and attempts are written in a transaction that is open; points, decisions and answers are not.
        HalfWritten = "commit-sqlite-half-written",
        /// Everything is written in a transaction that is open.
        Written = "commit-sqlite-written",
        /// The statement with everything is on its way; no answer is back.
        UnderWay = "commit-postgres-under-way",
        /// Everything is committed; nobody was told.
        Committed = "commit-committed",
        /// Workers have their orders; callers have no answers.
        Ordered = "commit-ordered",
        /// Callers have their answers; those who watch were not told.
        Answered = "commit-answered",
        /// The end has begun; nobody was sent away.
        Stopping = "stop-begun",
        /// Sessions and callers are away; the engines run.
        SentAway = "stop-sent-away",
        /// The engines have ended; the store is open.
        EnginesEnded = "stop-engines-ended",
        /// The store is closed.
        StoreClosed = "stop-store-closed",
    }

    /// Dies if a test wants it at this point.
    pub(crate) fn reached(point: Point) {
        if let Some(file) = wanted(point) {
            die(file);
        }
    }

    /// As [`reached`], after what was just sent to others has left the program.
    pub(crate) async fn after_a_moment(point: Point) {
        if let Some(file) = wanted(point) {
            tokio::time::sleep(LEAVES).await;
            die(file);
        }
    }

    /// Does `work`; dies in the middle of it if a test wants it. If it is done too soon, the next one is tried.
    pub(crate) async fn while_under_way<T>(point: Point, work: impl Future<Output = T>) -> T {
        let Some(file) = wanted(point) else {
            return work.await;
        };
        tokio::select! {
            biased;
            done = work => done,
            () = tokio::time::sleep(REACHES) => die(file),
        }
    }

    /// The file that holds the name of this point, if it does.
    fn wanted(point: Point) -> Option<&'static PathBuf> {
        static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
        let file = FILE
            .get_or_init(|| std::env::var_os("TUNESMITH_CRASH_FILE").map(PathBuf::from))
            .as_ref()?;
        let name = std::fs::read_to_string(file).ok()?;
        (name == point.name()).then_some(file)
    }

    fn die(file: &PathBuf) -> ! {
        // Of several threads that get here at once each dies; and one that finds the file gone already dies by the others.
        let _ = std::fs::remove_file(file);
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
