/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every register that Linux's own set-up of EL2 writes (el2_setup.h), and some
 * that Mercury might. X(name, gate, register, writable): read only if the bit
 * of that number is set in the gates; 0 is for those that every CPU has.
 * Writable ones can be planted, and put back after a mutant's damage. For
 * assembler and C alike; encodings where the assembler may not know a name.
 */
#define EL2_ALWAYS 0
#define EL2_GIC 1
#define EL2_FGT 2
#define EL2_HCX 3
#define EL2_SVE 4
#define EL2_SME 5
#define EL2_MTE 6
#define EL2_VHE 7
#define EL2_ECV 8
#define EL2_MPAM 9
#define EL2_SPE 10
#define EL2_TRACE 11
#define EL2_RAS 12
#define EL2_AMU 13
#define EL2_SCXT 14

#define EL2_REGISTERS(X)                                                       \
	X(current_el, EL2_ALWAYS, CurrentEL, 0)                           \
	X(hcr_el2, EL2_ALWAYS, hcr_el2, 1)                                \
	X(hcrx_el2, EL2_HCX, S3_4_C1_C2_2, 0)                             \
	X(cnthctl_el2, EL2_ALWAYS, cnthctl_el2, 1)                        \
	X(cntvoff_el2, EL2_ALWAYS, cntvoff_el2, 1)                        \
	X(cntpoff_el2, EL2_ECV, S3_4_C14_C0_6, 0)                         \
	X(cnthp_ctl_el2, EL2_ALWAYS, cnthp_ctl_el2, 0)                    \
	X(mdcr_el2, EL2_ALWAYS, mdcr_el2, 1)                              \
	X(cptr_el2, EL2_ALWAYS, cptr_el2, 1)                              \
	X(hstr_el2, EL2_ALWAYS, hstr_el2, 1)                              \
	X(hacr_el2, EL2_ALWAYS, hacr_el2, 0)                              \
	X(actlr_el2, EL2_ALWAYS, actlr_el2, 0)                            \
	X(vpidr_el2, EL2_ALWAYS, vpidr_el2, 0)                            \
	X(vmpidr_el2, EL2_ALWAYS, vmpidr_el2, 0)                          \
	X(vttbr_el2, EL2_ALWAYS, vttbr_el2, 1)                            \
	X(vtcr_el2, EL2_ALWAYS, vtcr_el2, 1)                              \
	X(tpidr_el2, EL2_ALWAYS, tpidr_el2, 1)                            \
	X(sctlr_el2, EL2_ALWAYS, sctlr_el2, 0)                            \
	X(tcr_el2, EL2_ALWAYS, tcr_el2, 1)                                \
	X(ttbr0_el2, EL2_ALWAYS, ttbr0_el2, 1)                            \
	X(ttbr1_el2, EL2_VHE, S3_4_C2_C0_1, 0)                            \
	X(contextidr_el2, EL2_VHE, S3_4_C13_C0_1, 0)                      \
	X(mair_el2, EL2_ALWAYS, mair_el2, 1)                              \
	X(amair_el2, EL2_ALWAYS, amair_el2, 0)                            \
	X(vbar_el2, EL2_ALWAYS, vbar_el2, 0)                              \
	X(tfsr_el2, EL2_MTE, S3_4_C5_C6_0, 0)                             \
	X(icc_sre_el2, EL2_GIC, S3_4_C12_C9_5, 0)                         \
	X(ich_hcr_el2, EL2_GIC, S3_4_C12_C11_0, 0)                        \
	X(ich_vmcr_el2, EL2_GIC, S3_4_C12_C11_7, 0)                       \
	X(ich_ap0r0_el2, EL2_GIC, S3_4_C12_C8_0, 0)                       \
	X(ich_ap1r0_el2, EL2_GIC, S3_4_C12_C9_0, 0)                       \
	X(ich_lr0_el2, EL2_GIC, S3_4_C12_C12_0, 0)                        \
	X(hfgrtr_el2, EL2_FGT, S3_4_C1_C1_4, 0)                           \
	X(hfgwtr_el2, EL2_FGT, S3_4_C1_C1_5, 0)                           \
	X(hfgitr_el2, EL2_FGT, S3_4_C1_C1_6, 0)                           \
	X(hdfgrtr_el2, EL2_FGT, S3_4_C3_C1_4, 0)                          \
	X(hdfgwtr_el2, EL2_FGT, S3_4_C3_C1_5, 0)                          \
	X(hafgrtr_el2, EL2_AMU, S3_4_C3_C1_6, 0)                          \
	X(zcr_el2, EL2_SVE, S3_4_C1_C2_0, 0)                              \
	X(smcr_el2, EL2_SME, S3_4_C1_C2_6, 0)                             \
	X(smprimap_el2, EL2_SME, S3_4_C1_C2_5, 0)                         \
	X(mpam2_el2, EL2_MPAM, S3_4_C10_C5_0, 0)                          \
	X(mpamhcr_el2, EL2_MPAM, S3_4_C10_C4_0, 0)                        \
	X(pmscr_el2, EL2_SPE, S3_4_C9_C9_0, 0)                            \
	X(trfcr_el2, EL2_TRACE, S3_4_C1_C2_1, 0)                          \
	X(vsesr_el2, EL2_RAS, S3_4_C5_C2_3, 0)                            \
	X(vdisr_el2, EL2_RAS, S3_4_C12_C1_1, 0)                           \
	X(scxtnum_el2, EL2_SCXT, S3_4_C13_C0_7, 0)

/* Where in the page writing begins. */
#define EL2_WRITE 2048
