//! A text that remembers where in the author's file it comes from.

/// A text, made of pieces of the author's file and of what was put in their place.
#[derive(Debug, Clone, Default)]
pub(super) struct Traced {
    pub(super) text: String,
    pub(super) trace: Trace,
}

/// Where the pieces of a text come from, in order.
#[derive(Debug, Clone, Default)]
pub(in crate::document) struct Trace(Vec<Piece>);

#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Where the piece begins in the text.
    start: usize,
    /// Where it comes from in the author's file.
    origin: usize,
    /// Whether it is a copy; if not, it is what stands for the thing at its origin.
    copied: bool,
}

impl Piece {
    fn origin(self, at: usize) -> usize {
        if self.copied { self.origin + (at - self.start) } else { self.origin }
    }
}

impl Trace {
    /// Where in the author's file a byte of the text comes from.
    pub(super) fn origin(&self, at: usize) -> usize {
        let index = self.0.partition_point(|piece| piece.start <= at);
        match index.checked_sub(1).and_then(|index| self.0.get(index)) {
            Some(piece) => piece.origin(at),
            None => at,
        }
    }
}

impl Traced {
    /// A text as it stands in the author's file, from its first byte on.
    pub(super) fn copy_of(text: String) -> Self {
        let trace = Trace(vec![Piece { start: 0, origin: 0, copied: true }]);
        Self { text, trace }
    }

    /// Where in the author's file a byte of the text comes from.
    pub(super) fn origin(&self, at: usize) -> usize {
        self.trace.origin(at)
    }

    /// Adds a piece of the file as it stands there.
    pub(super) fn push_copy(&mut self, text: &str, origin: usize) {
        let start = self.text.len();
        let goes_on = self.trace.0.last().is_some_and(|it| it.copied && it.origin(start) == origin);
        if !goes_on {
            self.trace.0.push(Piece { start, origin, copied: true });
        }
        self.text.push_str(text);
    }

    /// Adds what stands for the thing at a place of the file, such as an escape or a variable.
    pub(super) fn push_other(&mut self, text: &str, origin: usize) {
        self.trace.0.push(Piece { start: self.text.len(), origin, copied: false });
        self.text.push_str(text);
    }

    /// Adds a part of another text, whose pieces come from the same file.
    pub(super) fn push_part(&mut self, other: &Self, from: usize, to: usize) {
        let pieces = &other.trace.0;
        let first = pieces.partition_point(|piece| piece.start <= from).saturating_sub(1);
        for (index, piece) in pieces.iter().enumerate().skip(first) {
            if piece.start >= to && index > first {
                break;
            }
            let next = pieces.get(index + 1).map_or(other.text.len(), |next| next.start);
            let (start, end) = (piece.start.max(from), next.min(to));
            if start < end && piece.copied {
                self.push_copy(&other.text[start..end], piece.origin(start));
            } else if start < end {
                self.push_other(&other.text[start..end], piece.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_text_has_its_origin() {
        let mut traced = Traced::default();
        traced.push_copy("ab", 10);
        traced.push_copy("cd", 12);
        traced.push_other("value", 14);
        traced.push_copy("ef", 19);
        assert_eq!(traced.trace.0.len(), 3);
        let origins: Vec<_> = (0..=11).map(|at| traced.origin(at)).collect();
        assert_eq!(origins, [10, 11, 12, 13, 14, 14, 14, 14, 14, 19, 20, 21]);

        let mut part = Traced::default();
        part.push_part(&traced, 1, 5);
        part.push_part(&traced, 8, 11);
        assert_eq!(part.text, "bcdveef");
        let origins: Vec<_> = (0..7).map(|at| part.origin(at)).collect();
        assert_eq!(origins, [11, 12, 13, 14, 14, 19, 20]);
    }
}
