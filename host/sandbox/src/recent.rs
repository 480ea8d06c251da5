//! What was used last, up to a number: for things that are costly to make and cheap to share. Makes nothing itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The values of the keys that were asked for last. Clones share them.
pub(crate) struct Recent<K, V> {
    limit: usize,
    /// The last is the one used last.
    kept: Arc<Mutex<Vec<(K, V)>>>,
}

impl<K, V> Clone for Recent<K, V> {
    fn clone(&self) -> Self {
        Recent {
            limit: self.limit,
            kept: Arc::clone(&self.kept),
        }
    }
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    pub(crate) fn new(limit: usize) -> Self {
        Recent {
            limit,
            kept: Arc::default(),
        }
    }

    /// Returns the value of this key, made now if it is not kept. Two that ask for the same at once may both make it;
    /// one of the two is kept.
    pub(crate) fn get_or_make<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        if let Some(value) = self.used(&key) {
            return Ok(value);
        }
        let made = make()?;
        if let Some(value) = self.used(&key) {
            return Ok(value);
        }
        let mut kept = self.kept();
        if kept.len() >= self.limit {
            kept.remove(0);
        }
        kept.push((key, made.clone()));
        Ok(made)
    }

    fn used(&self, key: &K) -> Option<V> {
        let mut kept = self.kept();
        let at = kept.iter().position(|(known, _)| known == key)?;
        kept[at..].rotate_left(1);
        kept.last().map(|(_, value)| value.clone())
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(K, V)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_is_kept_up_to_a_number() {
        let recent = Recent::new(2);
        let mut made = Vec::new();
        for key in ["a", "b", "a", "c", "a", "b"] {
            let value = recent.get_or_make(key, || {
                made.push(key);
                Ok::<_, String>(key)
            });
            assert_eq!(value, Ok(key));
        }
        assert_eq!(made, ["a", "b", "c", "b"]);
        let failed = recent.get_or_make("d", || Err("no"));
        assert_eq!(failed, Err("no"));
        assert_eq!(recent.get_or_make("d", || Ok::<_, String>("d")), Ok("d"));
    }
}
