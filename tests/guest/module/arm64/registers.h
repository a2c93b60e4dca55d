/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ARM64: the registers that are looked at. X(name, gate, register, writable):
 * a register behind a gate that this CPU does not have reads as ABSENT, and
 * only writable ones are put back. Registers that the assembler may not know
 * have their encoding (Arm ARM D19).
 *
 * What belongs to the CPU: what Linux sets up when the CPU comes up, and what
 * the CPU says of itself, which an EL2 could change (VPIDR, VMPIDR, HCR.TID*).
 * Bits that Linux changes by task are masked (state.c) and looked at as the
 * task's.
 */
#ifndef MERCURY_TEST_REGISTERS_H
#define MERCURY_TEST_REGISTERS_H

enum gate {
	ALWAYS,
	PAC = 1 << 0,
	MTE = 1 << 1,
	SVE = 1 << 2,
	GIC = 1 << 3,	/* the interrupt controller is used by way of registers */
	PMU = 1 << 4,
	PAN = 1 << 5,
	UAO = 1 << 6,
	SSBS = 1 << 7,
	DIT = 1 << 8,
	SIX = 1 << 9,	/* six breakpoints and four watchpoints */
};

/* A register that is not there must be absent afterwards too. */
#define ABSENT 0xabad1deaabad1dea

#define CPU_REGISTERS(X)                                                       \
	X(current_el, ALWAYS, CurrentEL, 0)                                    \
	X(sctlr, ALWAYS, sctlr_el1, 0) X(tcr, ALWAYS, tcr_el1, 0)              \
	X(ttbr1, ALWAYS, ttbr1_el1, 0) X(mair, ALWAYS, mair_el1, 1)            \
	X(amair, ALWAYS, amair_el1, 1) X(vbar, ALWAYS, vbar_el1, 1)            \
	X(cpacr, ALWAYS, cpacr_el1, 0) X(tpidr_el1, ALWAYS, tpidr_el1, 1)      \
	X(cntkctl, ALWAYS, cntkctl_el1, 1) X(cntfrq, ALWAYS, cntfrq_el0, 0)    \
	X(oslsr, ALWAYS, oslsr_el1, 0) X(midr, ALWAYS, midr_el1, 0)            \
	X(mpidr, ALWAYS, mpidr_el1, 0) X(revidr, ALWAYS, revidr_el1, 0)        \
	X(ctr, ALWAYS, ctr_el0, 0) X(dczid, ALWAYS, dczid_el0, 0)              \
	X(clidr, ALWAYS, clidr_el1, 0)                                         \
	X(id_pfr0, ALWAYS, id_aa64pfr0_el1, 0)                                 \
	X(id_pfr1, ALWAYS, id_aa64pfr1_el1, 0)                                 \
	X(id_dfr0, ALWAYS, id_aa64dfr0_el1, 0)                                 \
	X(id_isar0, ALWAYS, id_aa64isar0_el1, 0)                               \
	X(id_isar1, ALWAYS, id_aa64isar1_el1, 0)                               \
	X(id_isar2, ALWAYS, S3_0_C0_C6_2, 0)                                   \
	X(id_mmfr0, ALWAYS, id_aa64mmfr0_el1, 0)                               \
	X(id_mmfr1, ALWAYS, id_aa64mmfr1_el1, 0)                               \
	X(id_mmfr2, ALWAYS, S3_0_C0_C7_2, 0)                                   \
	X(id_zfr0, ALWAYS, S3_0_C0_C4_4, 0)                                    \
	X(icc_sre, GIC, S3_0_C12_C12_5, 0) X(icc_pmr, GIC, S3_0_C4_C6_0, 0)    \
	X(icc_ctlr, GIC, S3_0_C12_C12_4, 0)                                    \
	X(icc_igrpen1, GIC, S3_0_C12_C12_7, 0)

#define TASK_REGISTERS(X)                                                      \
	X(task_sctlr, ALWAYS, sctlr_el1, 0) X(ttbr0, ALWAYS, ttbr0_el1, 0)     \
	X(task_ttbr1, ALWAYS, ttbr1_el1, 0)                                    \
	X(task_cpacr, ALWAYS, cpacr_el1, 0)                                    \
	X(contextidr, ALWAYS, contextidr_el1, 1)                               \
	X(tpidr_el0, ALWAYS, tpidr_el0, 1)                                     \
	X(tpidrro_el0, ALWAYS, tpidrro_el0, 1) X(sp_el0, ALWAYS, sp_el0, 0)    \
	X(elr, ALWAYS, elr_el1, 1) X(spsr, ALWAYS, spsr_el1, 1)                \
	X(esr, ALWAYS, esr_el1, 1) X(far, ALWAYS, far_el1, 1)                  \
	X(par, ALWAYS, par_el1, 1) X(afsr0, ALWAYS, afsr0_el1, 0)              \
	X(afsr1, ALWAYS, afsr1_el1, 0) X(csselr, ALWAYS, csselr_el1, 1)        \
	X(fpcr, ALWAYS, fpcr, 1) X(fpsr, ALWAYS, fpsr, 1)                      \
	X(daif, ALWAYS, daif, 0) X(spsel, ALWAYS, SPSel, 0)                    \
	X(pan, PAN, S3_0_C4_C2_3, 0) X(uao, UAO, S3_0_C4_C2_4, 0)              \
	X(ssbs, SSBS, S3_3_C4_C2_6, 0) X(dit, DIT, S3_3_C4_C2_5, 0)            \
	X(tco, MTE, S3_3_C4_C2_7, 0)                                           \
	X(cntv_cval, ALWAYS, cntv_cval_el0, 0)                                 \
	X(cntv_ctl, ALWAYS, cntv_ctl_el0, 0)                                   \
	X(cntp_cval, ALWAYS, cntp_cval_el0, 0)                                 \
	X(cntp_ctl, ALWAYS, cntp_ctl_el0, 0)                                   \
	X(mdscr, ALWAYS, mdscr_el1, 0)                                         \
	X(dbgbvr0, ALWAYS, dbgbvr0_el1, 1) X(dbgbcr0, ALWAYS, dbgbcr0_el1, 0)  \
	X(dbgbvr1, ALWAYS, dbgbvr1_el1, 1) X(dbgbcr1, ALWAYS, dbgbcr1_el1, 0)  \
	X(dbgbvr2, SIX, dbgbvr2_el1, 1) X(dbgbcr2, SIX, dbgbcr2_el1, 0)        \
	X(dbgbvr3, SIX, dbgbvr3_el1, 1) X(dbgbcr3, SIX, dbgbcr3_el1, 0)        \
	X(dbgbvr4, SIX, dbgbvr4_el1, 1) X(dbgbcr4, SIX, dbgbcr4_el1, 0)        \
	X(dbgbvr5, SIX, dbgbvr5_el1, 1) X(dbgbcr5, SIX, dbgbcr5_el1, 0)        \
	X(dbgwvr0, ALWAYS, dbgwvr0_el1, 1) X(dbgwcr0, ALWAYS, dbgwcr0_el1, 0)  \
	X(dbgwvr1, ALWAYS, dbgwvr1_el1, 1) X(dbgwcr1, ALWAYS, dbgwcr1_el1, 0)  \
	X(dbgwvr2, SIX, dbgwvr2_el1, 1) X(dbgwcr2, SIX, dbgwcr2_el1, 0)        \
	X(dbgwvr3, SIX, dbgwvr3_el1, 1) X(dbgwcr3, SIX, dbgwcr3_el1, 0)        \
	X(pmcr, PMU, pmcr_el0, 0) X(pmuserenr, PMU, pmuserenr_el0, 0)          \
	X(pmcntenset, PMU, pmcntenset_el0, 0)                                  \
	X(pmintenset, PMU, pmintenset_el1, 0)                                  \
	X(pmccfiltr, PMU, pmccfiltr_el0, 0) X(pmselr, PMU, pmselr_el0, 0)      \
	X(apia_lo, PAC, S3_0_C2_C1_0, 0) X(apia_hi, PAC, S3_0_C2_C1_1, 0)      \
	X(apib_lo, PAC, S3_0_C2_C1_2, 1) X(apib_hi, PAC, S3_0_C2_C1_3, 1)      \
	X(apda_lo, PAC, S3_0_C2_C2_0, 1) X(apda_hi, PAC, S3_0_C2_C2_1, 1)      \
	X(apdb_lo, PAC, S3_0_C2_C2_2, 1) X(apdb_hi, PAC, S3_0_C2_C2_3, 1)      \
	X(apga_lo, PAC, S3_0_C2_C3_0, 1) X(apga_hi, PAC, S3_0_C2_C3_1, 1)      \
	X(gcr, MTE, S3_0_C1_C0_6, 1) X(rgsr, MTE, S3_0_C1_C0_5, 1)             \
	X(tfsr, MTE, S3_0_C5_C6_0, 0) X(tfsre0, MTE, S3_0_C5_C6_1, 0)          \
	X(zcr, SVE, S3_0_C1_C2_0, 0)

/* Pieces of 16 bytes: a vector each, and with SVE up to four of them. */
#define VECTORS 128
#define VECTOR_BYTES 16

#endif
