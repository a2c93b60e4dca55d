/* SPDX-License-Identifier: GPL-2.0 */
/* x86: the registers that are looked at. */
#ifndef MERCURY_TEST_REGISTERS_H
#define MERCURY_TEST_REGISTERS_H

#define CPU_REGISTERS(X)                                                       \
	X(cr0) X(cr4) X(efer) X(pat) X(gdtr_base) X(gdtr_limit) X(idtr_base)  \
	X(idtr_limit) X(tr) X(tss_type) X(star) X(lstar) X(cstar) X(sfmask)   \
	X(sysenter_cs) X(sysenter_esp) X(sysenter_eip) X(vm_cr)               \
	X(vm_hsave_pa) X(tsc_aux) X(xcr0) X(apic_base)

#define TASK_REGISTERS(X)                                                      \
	X(cr2) X(cr3) X(dr0) X(dr1) X(dr2) X(dr3) X(dr6) X(dr7) X(debugctl)   \
	X(ldtr) X(cs) X(ss) X(ds) X(es) X(fs) X(gs) X(fs_base) X(gs_base)     \
	X(kernel_gs_base) X(rflags) X(x87_control) X(mxcsr)

#define VECTORS 16
#define VECTOR_BYTES 32

#endif
