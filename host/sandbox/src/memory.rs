//! Bounds a guest's memory, tables and instances, and remembers what it was refused: the trap that follows does not
//! say so itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use batch_export_system::{Budget, Share};
use wasmtime::ResourceLimiter;

use crate::limits::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};

/// One session's memory.
pub(super) struct Memory {
    limit_bytes: usize,
    held_bytes: usize,
    peak_bytes: Arc<AtomicUsize>,
    /// What it takes of the memory of all sessions together.
    share: Share,
    /// The size that was asked for in vain in the current call.
    refused_bytes: Option<usize>,
    /// It would have been within the session's limit.
    crowded: bool,
}

impl Memory {
    pub(super) fn new(limit_bytes: usize, all: &Arc<Budget>) -> Self {
        Memory {
            share: Share::none(all),
            crowded: false,
            limit_bytes,
            held_bytes: 0,
            peak_bytes: Arc::default(),
            refused_bytes: None,
        }
    }

    pub(super) fn begin_call(&mut self) {
        self.refused_bytes = None;
        self.crowded = false;
    }

    /// Returns what all sessions may hold together.
    pub(super) fn all_bytes(&self) -> usize {
        self.share.budget().limit_bytes()
    }

    /// Whether the other sessions left no room for what the session itself might have.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded
    }

    pub(super) fn peak_bytes(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.peak_bytes)
    }

    /// Returns what was asked for in vain, with the limit.
    pub(super) fn refused(&self) -> Option<(usize, usize)> {
        self.refused_bytes.map(|wanted| (wanted, self.limit_bytes))
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Over all memories of the session together.
        let total = self.held_bytes.saturating_add(desired.saturating_sub(current));
        let refused = total > self.limit_bytes || maximum.is_some_and(|max| desired > max);
        if refused {
            self.refused_bytes = Some(total);
            return Ok(false);
        }
        if !self.share.grow(total - self.held_bytes) {
            self.crowded = true;
            return Ok(false);
        }
        self.held_bytes = total;
        self.peak_bytes.fetch_max(total, Ordering::Relaxed);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS && maximum.is_none_or(|max| desired <= max))
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_share_one_limit_and_a_refusal_is_remembered() {
        let mut memory = Memory::new(100, &Budget::new(1_000));
        assert!(memory.memory_growing(0, 60, None).unwrap());
        assert!(!memory.memory_growing(0, 41, None).unwrap());
        assert_eq!(memory.refused(), Some((101, 100)));
        memory.begin_call();
        assert_eq!(memory.refused(), None);
        assert!(memory.memory_growing(60, 100, None).unwrap());
        assert_eq!(memory.peak_bytes().load(Ordering::Relaxed), 100);
        assert!(!memory.memory_growing(100, usize::MAX, None).unwrap());
    }

    #[test]
    fn sessions_share_the_memory_of_the_host_and_give_it_back() {
        let all = Budget::new(100);
        let mut one = Memory::new(80, &all);
        let mut two = Memory::new(80, &all);
        assert!(one.memory_growing(0, 60, None).unwrap());
        assert!(!two.memory_growing(0, 41, None).unwrap());
        assert!(two.is_crowded() && two.refused().is_none());
        assert!(two.memory_growing(0, 40, None).unwrap());
        drop(one);
        assert!(two.memory_growing(40, 80, None).unwrap());
        assert_eq!(all.held_bytes(), 80);
    }

    #[test]
    fn tables_are_bounded() {
        let mut memory = Memory::new(100, &Budget::new(1_000));
        assert!(memory.table_growing(0, TABLE_ELEMENTS, None).unwrap());
        assert!(!memory.table_growing(0, TABLE_ELEMENTS + 1, None).unwrap());
    }
}
