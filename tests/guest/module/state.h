/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The registers that are looked at, by name, and how they are read.
 *
 * CPU state belongs to the CPU and is the same whichever task runs; it must be
 * the same before the first attach and after the last detach. Task state
 * belongs to whoever runs, so it can only be compared within one section with
 * interrupts off.
 */
#ifndef MERCURY_TEST_STATE_H
#define MERCURY_TEST_STATE_H

#include <linux/types.h>

#define CPU_REGISTERS(X)                                                       \
	X(cr0) X(cr4) X(efer) X(pat) X(gdtr_base) X(gdtr_limit) X(idtr_base)  \
	X(idtr_limit) X(tr) X(tss_type) X(star) X(lstar) X(cstar) X(sfmask)   \
	X(sysenter_cs) X(sysenter_esp) X(sysenter_eip) X(vm_cr)               \
	X(vm_hsave_pa) X(tsc_aux) X(xcr0) X(apic_base)

#define TASK_REGISTERS(X)                                                      \
	X(cr2) X(cr3) X(dr0) X(dr1) X(dr2) X(dr3) X(dr6) X(dr7) X(debugctl)   \
	X(ldtr) X(cs) X(ss) X(ds) X(es) X(fs) X(gs) X(fs_base) X(gs_base)     \
	X(kernel_gs_base) X(rflags) X(x87_control) X(mxcsr)

#define AS_INDEX_CPU(name) CPU_##name,
#define AS_INDEX_TASK(name) TASK_##name,
enum { CPU_REGISTERS(AS_INDEX_CPU) CPU_COUNT };
enum { TASK_REGISTERS(AS_INDEX_TASK) TASK_COUNT };

struct cpu_state { u64 value[CPU_COUNT]; };
struct task_state { u64 value[TASK_COUNT]; };

extern const char *const cpu_register_names[CPU_COUNT];
extern const char *const task_register_names[TASK_COUNT];

/* Both want interrupts off. */
void read_cpu_state(struct cpu_state *state);
void read_task_state(struct task_state *state);

/* Puts registers back; those that no instruction can put back are left. */
void write_cpu_state(const struct cpu_state *state);
void write_task_state(const struct task_state *state);

#endif
