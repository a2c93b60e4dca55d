// SPDX-License-Identifier: MIT OR Apache-2.0
//! Count, least, median and most of a series.

use serde::Serialize;

/// What a series of measurements comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    /// How many.
    pub(crate) count: usize,
    /// The least.
    pub(crate) minimum: u64,
    /// The middle one; of two middle ones their mean, rounded down.
    pub(crate) median: u64,
    /// The most.
    pub(crate) maximum: u64,
}

/// Sums a series up; `None` if it is empty.
pub(crate) fn summarize(mut values: Vec<u64>) -> Option<Summary> {
    values.sort_unstable();
    let (&minimum, &maximum) = (values.first()?, values.last()?);
    let count = values.len();
    let (lower, upper) = (values[(count - 1) / 2], values[count / 2]);
    let median = lower + (upper - lower) / 2;
    Some(Summary {
        count,
        minimum,
        median,
        maximum,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_even_and_empty() {
        assert_eq!(summarize(vec![]), None);
        let one = summarize(vec![5]).unwrap();
        assert_eq!((one.minimum, one.median, one.maximum), (5, 5, 5));
        assert_eq!(summarize(vec![9, 1, 5]).unwrap().median, 5);
        assert_eq!(summarize(vec![9, 1, 5, 8]).unwrap().median, 6);
        assert_eq!(
            summarize(vec![u64::MAX, u64::MAX]).unwrap().median,
            u64::MAX
        );
    }
}
