//! The first names after another, of however many there are.

use std::collections::BTreeSet;

/// Collects the first `most` values after `after`, in their order. It holds no more than that of them.
#[derive(Debug)]
pub(super) struct Page<T> {
    after: Option<T>,
    most: usize,
    values: BTreeSet<T>,
}

impl<T: Ord> Page<T> {
    pub(super) fn new(after: Option<T>, most: usize) -> Self {
        Self { after, most, values: BTreeSet::new() }
    }

    /// Takes a value, unless it is before the page or behind it.
    pub(super) fn offer(&mut self, value: T) {
        let is_before = self.after.as_ref().is_some_and(|after| value <= *after);
        let is_behind =
            self.values.len() >= self.most && self.values.last().is_none_or(|last| value >= *last);
        if is_before || is_behind {
            return;
        }
        self.values.insert(value);
        if self.values.len() > self.most {
            self.values.pop_last();
        }
    }

    pub(super) fn into_values(self) -> Vec<T> {
        self.values.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_the_first_values_after_another() {
        let mut page = Page::new(Some(3), 3);
        for value in [9, 1, 5, 3, 7, 5, 4, 8] {
            page.offer(value);
            assert!(page.values.len() <= 3);
        }
        assert_eq!(page.into_values(), [4, 5, 7]);
        let mut none = Page::new(None, 0);
        none.offer(1);
        assert!(none.into_values().is_empty());
    }
}
