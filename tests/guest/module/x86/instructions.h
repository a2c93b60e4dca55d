/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One instruction that a guest must not carry out, and what became of it.
 */
#ifndef MERCURY_TEST_INSTRUCTIONS_H
#define MERCURY_TEST_INSTRUCTIONS_H

#include <linux/types.h>

#include "fault.h"

struct job {
	const char *name;
	u64 rax;
	u64 page; /* physical address */
	int trap;
	u64 answered;
	u64 efer;
	int faults;
	bool known;
};

/* Whether the name is one of the extension's; if so, it has been carried out. */
bool svm_instruction(struct job *job);
bool vmx_instruction(struct job *job);

/*
 * The trap of an instruction that finds `value` in RAX. Whether there was one is
 * kept elsewhere, as the fixup leaves its number in RAX.
 */
#define TRAP_WITH(value, instruction, ...)                                     \
	({                                                                     \
		u64 rax_ = (value);                                            \
		int faulted_ = 1;                                              \
		asm volatile("1:	" instruction "\n"                    \
			     "	xorl %[faulted], %[faulted]\n"                \
			     "2:\n"                                            \
			     _ASM_EXTABLE_FAULT(1b, 2b)                        \
			     : "+a"(rax_), [faulted] "+r"(faulted_)            \
			     : __VA_ARGS__ : "memory", "cc");                  \
		faulted_ ? (int)rax_ : NO_TRAP;                                \
	})

/* A hypercall, by the extension's instruction for it; RAX is its number. */
#define HYPERCALL(job, instruction)                                            \
	do {                                                                   \
		u64 rax_ = (job)->rax;                                         \
		int faulted_ = 1;                                              \
		asm volatile("1:	" instruction "\n"                    \
			     "	xorl %[faulted], %[faulted]\n"                \
			     "2:\n"                                            \
			     _ASM_EXTABLE_FAULT(1b, 2b)                        \
			     : "+a"(rax_), [faulted] "+r"(faulted_)            \
			     :                                                 \
			     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9",  \
			       "r10", "r11", "memory", "cc");                  \
		(job)->trap = faulted_ ? (int)rax_ : NO_TRAP;                  \
		(job)->answered = faulted_ ? 0 : rax_;                         \
	} while (0)

#endif
