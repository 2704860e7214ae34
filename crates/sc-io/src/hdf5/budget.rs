//! How much a file may ask of this machine.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::Decoded;
use crate::Problem;

/// Groups deeper than this are refused.
pub(super) const MAX_DEPTH: usize = 64;
/// More objects and links than this are refused.
pub(super) const MAX_OBJECTS: usize = 1_000_000;
/// Declared bytes below this are never refused, however small the file.
const ALWAYS_ALLOWED: u64 = 16 << 20;

/// The structure of a file may be read this many times its length.
const MAX_WALKS: u64 = 64;

/// What a file may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Values in memory may take this many times the bytes of the file.
    pub(crate) max_expand: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_expand: 64 }
    }
}

/// What a file has asked for so far.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    file: u64,
    declared: AtomicU64,
    walked: AtomicU64,
    objects: AtomicUsize,
}

impl Budget {
    pub(super) fn new(limits: Limits, file: u64) -> Self {
        Self {
            limits,
            file,
            declared: AtomicU64::new(0),
            walked: AtomicU64::new(0),
            objects: AtomicUsize::new(0),
        }
    }

    /// Takes note of bytes about to be allocated for values; `None` is a size that overflowed.
    pub(super) fn declare(&self, bytes: Option<u64>) -> Decoded<()> {
        let factor = self.limits.max_expand;
        let allowed = self.file.saturating_mul(factor).max(ALWAYS_ALLOWED);
        let bytes = bytes.unwrap_or(u64::MAX);
        let before = self.declared.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| {
            sum.checked_add(bytes).filter(|&sum| sum <= allowed)
        });
        match before {
            Ok(_) => Ok(()),
            Err(sum) => {
                Err(Problem::Declared { declared: sum.saturating_add(bytes), file: self.file, factor })
            }
        }
    }

    /// Checks bytes that are given back before more are asked for: a part of a dataset.
    pub(super) fn allow(&self, bytes: Option<u64>) -> Decoded<()> {
        let factor = self.limits.max_expand;
        let declared = bytes.unwrap_or(u64::MAX);
        if declared > self.file.saturating_mul(factor).max(ALWAYS_ALLOWED) {
            return Err(Problem::Declared { declared, file: self.file, factor });
        }
        Ok(())
    }

    /// Takes note of bytes read as structure: headers, heaps, trees. A file whose structures point at the same bytes again
    /// and again would take for ever.
    pub(super) fn walk(&self, bytes: u64) -> Decoded<()> {
        let allowed = self.file.saturating_mul(MAX_WALKS).max(ALWAYS_ALLOWED);
        let before = self.walked.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > allowed {
            let why = format!(
                "its structures read the {} bytes of the file more than {MAX_WALKS} times",
                self.file
            );
            return Err(Problem::Malformed(why));
        }
        Ok(())
    }

    /// Takes note of objects or links read.
    pub(super) fn count_objects(&self, n: usize) -> Decoded<()> {
        let before = self.objects.fetch_add(n, Ordering::Relaxed);
        if before.saturating_add(n) > MAX_OBJECTS {
            return Err(Problem::TooMany { limit: MAX_OBJECTS });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_bytes_add_up_and_are_refused_past_the_limit() {
        let budget = Budget::new(Limits::default(), 1 << 20);
        budget.declare(Some(40 << 20)).unwrap();
        assert!(matches!(budget.declare(Some(30 << 20)), Err(Problem::Declared { factor: 64, .. })));
        budget.declare(Some(24 << 20)).unwrap();
        assert!(budget.declare(Some(1)).is_err());
        assert!(budget.declare(None).is_err());
        let small = Budget::new(Limits::default(), 100);
        small.declare(Some(ALWAYS_ALLOWED)).unwrap();
        assert!(small.declare(Some(1)).is_err());
    }

    #[test]
    fn structures_may_not_be_read_for_ever() {
        let budget = Budget::new(Limits::default(), 1 << 20);
        budget.walk(64 << 20).unwrap();
        assert!(matches!(budget.walk(1), Err(Problem::Malformed(_))));
    }

    #[test]
    fn objects_are_counted() {
        let budget = Budget::new(Limits::default(), 1);
        budget.count_objects(MAX_OBJECTS).unwrap();
        assert!(matches!(budget.count_objects(1), Err(Problem::TooMany { .. })));
    }
}
