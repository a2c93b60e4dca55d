// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Jailhouse takes for the same, on the same virtual machine.
//!
//! Jailhouse master (v0.12) on Debian's 6.1 kernel for arm64, QEMU 7.2, `-M
//! virt,gic-version=3,virtualization=on -cpu cortex-a57 -icount shift=0,sleep=off`: a
//! nanosecond is an instruction, summed over all CPUs. "Switch" is its `on_each_cpu`
//! step. As shipped (with one CPU: without its console); with one YIELD added to its
//! spin loops where there are more CPUs than one, without which no round ended. It was
//! measured once, by hand: no command of this project builds it.

/// A figure of Jailhouse's: what ours is called, on how many CPUs (0: on any), and it.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) what: &'static str,
    pub(super) cpus: u32,
    pub(super) value: u64,
}

const fn figure(what: &'static str, cpus: u32, value: u64) -> Figure {
    Figure { what, cpus, value }
}

/// Those that there are.
pub(super) const FIGURES: &[Figure] = &[
    figure("attach, call to return", 1, 1_379_520),
    figure("attach, call to return", 2, 1_467_232),
    figure("attach, call to return", 4, 1_579_440),
    figure("attach, call to return", 16, 2_324_272),
    figure("the switch of an attach", 1, 928_144),
    figure("the switch of an attach", 2, 986_512),
    figure("the switch of an attach", 4, 1_063_344),
    figure("the switch of an attach", 16, 1_534_608),
    figure("detach, call to return", 1, 51_664),
    figure("detach, call to return", 2, 76_320),
    figure("detach, call to return", 4, 119_936),
    figure("detach, call to return", 16, 391_968),
    figure("the switch of a detach", 1, 6_064),
    figure("the switch of a detach", 2, 15_552),
    figure("the switch of a detach", 4, 29_248),
    figure("the switch of a detach", 16, 120_480),
    figure("a null hypercall, mean of 1,000", 2, 134),
    figure("a PSCI call, native", 2, 23),
    figure("a PSCI call, attached", 2, 159),
    figure("an interrupt to itself, native", 2, 806),
    figure("an interrupt to itself, attached", 2, 2_266),
    figure("a call on another CPU, native", 2, 1_578),
    figure("a call on another CPU, attached", 2, 3_124),
    // 38 a second.
    figure("exits of an idle machine in 5 s", 2, 190),
    figure("the image's file", 2, 98),
    figure("lent for each CPU", 2, 16),
    // Reserved at boot, where ours is lent by the running kernel.
    figure("memory lent", 2, 4_096),
];

/// Jailhouse's figure of the same name, in a row of so many CPUs.
pub(super) fn of(name: &str, cpus: u32) -> Option<u64> {
    let (what, on) = name.rsplit_once(", ").unwrap_or((name, ""));
    let with_cpus = on.ends_with(" CPU") || on.ends_with(" CPUs");
    let what = if with_cpus { what } else { name };
    FIGURES
        .iter()
        .find(|figure| figure.what == what && figure.cpus == cpus)
        .map(|figure| figure.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_meet() {
        assert_eq!(of("attach, call to return, 1 CPU", 1), Some(1_379_520));
        assert_eq!(of("the switch of a detach, 16 CPUs", 16), Some(120_480));
        assert_eq!(of("a null hypercall, mean of 1,000", 2), Some(134));
        assert_eq!(of("a PSCI call, attached, 2 CPUs", 2), Some(159));
        assert_eq!(of("nested tables, 2 CPUs", 2), None);
        assert_eq!(of("a null hypercall, mean of 1,000", 4), None);
    }
}
