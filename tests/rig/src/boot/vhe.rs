// SPDX-License-Identifier: MIT OR Apache-2.0
//! VHE: on CPUs that have it, Linux keeps EL2 for itself and there is no way
//! beneath it. A kernel parameter makes it leave EL2 as on older CPUs; the rig
//! adds that one, so that any CPU can be tried.

/// Makes Linux leave EL2, and leaves its KVM as it is.
const USUAL: &str = "kvm-arm.mode=nvhe";
/// The same beside another `kvm-arm.mode`, which alone would not.
const BESIDE_A_MODE: &str = "id_aa64mmfr1.vh=0";

/// The parameter to add, for a CPU that has VHE and parameters that do not
/// speak of it yet.
pub(crate) fn parameter(cpu: &str, without_vhe: &[String], append: &str) -> Option<&'static str> {
    let name = cpu.split(',').next().unwrap_or(cpu);
    if without_vhe.is_empty() || without_vhe.iter().any(|known| known == name) {
        return None;
    }
    let said = |what: &str| append.split_whitespace().any(|word| word.starts_with(what));
    if said(USUAL) || said("id_aa64mmfr1.vh=") {
        None
    } else if said("kvm-arm.mode=") {
        Some(BESIDE_A_MODE)
    } else {
        Some(USUAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(cpu: &str, append: &str) -> Option<&'static str> {
        parameter(cpu, &["cortex-a72".to_owned()], append)
    }

    #[test]
    fn only_cpus_with_vhe_get_it() {
        assert_eq!(added("cortex-a72", ""), None);
        assert_eq!(added("cortex-a72,pmu=off", ""), None);
        assert_eq!(added("max,pauth-impdef=on", ""), Some(USUAL));
        assert_eq!(parameter("max", &[], ""), None);
    }

    #[test]
    fn what_the_user_said_stands() {
        assert_eq!(added("max", "quiet kvm-arm.mode=nvhe"), None);
        assert_eq!(added("max", "id_aa64mmfr1.vh=0"), None);
        assert_eq!(added("max", "kvm-arm.mode=none"), Some(BESIDE_A_MODE));
    }
}
