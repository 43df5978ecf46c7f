//! What a strategy keeps between proposals so as not to compute it again.

use std::any::Any;
use std::fmt;

/// Results of earlier computations. It never changes what is proposed, only how long that takes: a strategy given an empty memory,
/// or that of another moment of the same study, proposes the same.
#[derive(Default)]
pub struct Memory(Option<Box<dyn Any + Send>>);

impl Memory {
    /// What a strategy keeps, empty if it has kept nothing or something else.
    pub(super) fn of<T: Any + Send + Default>(&mut self) -> &mut T {
        if !self.0.as_deref().is_some_and(|kept| kept.is::<T>()) {
            self.0 = None;
        }
        let kept = self.0.get_or_insert_with(|| Box::<T>::default());
        match kept.downcast_mut() {
            Some(kept) => kept,
            None => unreachable!("anything else was removed above"),
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").field(&self.0.is_some()).finish()
    }
}
