// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's `-cpu` string: what the user wrote, with the features that Mercury
//! needs added where the user said nothing about them.

/// Adds `,+feature` for each feature that the string does not name. A string
/// that takes the first (the extension itself) away gets none of them: that is
/// how a machine without the extension is asked for.
pub(crate) fn complete(cpu: &str, features: &[String]) -> String {
    let mut completed = cpu.to_owned();
    if features.first().is_some_and(|first| removed(cpu, first)) {
        return completed;
    }
    for feature in features {
        if !named(cpu, feature) {
            completed.push_str(",+");
            completed.push_str(feature);
        }
    }
    completed
}

fn words(cpu: &str) -> impl Iterator<Item = &str> {
    cpu.split(',').skip(1)
}

fn named(cpu: &str, feature: &str) -> bool {
    words(cpu).any(|word| {
        let word = word.split('=').next().unwrap_or(word);
        word.trim_start_matches(['+', '-']) == feature
    })
}

fn removed(cpu: &str, feature: &str) -> bool {
    words(cpu).any(|word| {
        word.strip_prefix('-') == Some(feature)
            || word.split_once('=').is_some_and(|(name, value)| {
                name == feature && matches!(value, "off" | "no" | "false")
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(cpu: &str) -> String {
        complete(cpu, &["svm".to_owned(), "npt".to_owned()])
    }

    #[test]
    fn features_are_added_where_not_named() {
        assert_eq!(completed("max"), "max,+svm,+npt");
        assert_eq!(completed("max,-la57"), "max,-la57,+svm,+npt");
        assert_eq!(completed("qemu64,+svm"), "qemu64,+svm,+npt");
        assert_eq!(completed("max,svm=on,npt=on"), "max,svm=on,npt=on");
    }

    #[test]
    fn what_the_user_took_away_stays_away() {
        assert_eq!(completed("max,-npt"), "max,-npt,+svm");
        assert_eq!(completed("max,-svm"), "max,-svm");
        assert_eq!(completed("max,svm=off"), "max,svm=off");
    }

    #[test]
    fn a_feature_that_only_begins_alike_is_another() {
        assert_eq!(completed("max,-svm-lock"), "max,-svm-lock,+svm,+npt");
    }
}
