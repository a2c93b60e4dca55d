// SPDX-License-Identifier: MIT OR Apache-2.0
//! The text of /proc/iomem, as the judge reads it. The module itself walks the
//! kernel's resources and reads no text.

use crate::iomem::{Named, parse};

pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(found) = parse(&text) else { return };
    assert_eq!(found.len(), text.lines().count());
    for (Named { first, last }, line) in found.iter().zip(text.lines()) {
        assert!(first <= last, "{line:?}");
        let again = parse(&format!("{first:08x}-{last:08x} : again"));
        assert!(matches!(again.as_deref(), Ok([one]) if (one.first, one.last) == (*first, *last)));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        "00000000-00000fff : Reserved\n00001000-0009fbff : System RAM\n",
        "fee00000-fee00fff : Local APIC\n  fee00000-fee00fff : Reserved\n",
        "100000000-17fffffff : System RAM\n  1-0 : wrong\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
