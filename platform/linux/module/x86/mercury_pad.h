/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The landing pad, for Intel VMX: where an NMI lands while a CPU changes sides.
 * The Rust side, with the essay, is arch/x86_64/src/pad.rs; tests/host holds the
 * two together. It is the last quarter of each CPU's door page.
 */
#ifndef MERCURY_PAD_H
#define MERCURY_PAD_H

#define MERCURY_PAD_OFFSET 3072
#define MERCURY_PAD_GATES 19
#define MERCURY_PAD_DESCRIPTORS 16

/* Offsets into struct mercury_pad, for door_vmx.S. */
#define MERCURY_PAD_GDTR 432
#define MERCURY_PAD_IDTR 448
#define MERCURY_PAD_NMIS 464
#define MERCURY_PAD_MACHINE_CHECKS 472
#define MERCURY_PAD_CONTROL4 560
#define MERCURY_PAD_ROOT 568
#define MERCURY_PAD_STACK_POINTER 576
#define MERCURY_PAD_INSTRUCTION_POINTER 584
#define MERCURY_PAD_FLAGS 592
#define MERCURY_PAD_DS 600
#define MERCURY_PAD_ES 608
#define MERCURY_PAD_FS 616
#define MERCURY_PAD_GS 624
#define MERCURY_PAD_SS 632
#define MERCURY_PAD_CS 640
#define MERCURY_PAD_LDTR 648
#define MERCURY_PAD_TR 656
#define MERCURY_PAD_FS_BASE 664
#define MERCURY_PAD_GS_BASE 672
#define MERCURY_PAD_KERNEL_GDTR 680
#define MERCURY_PAD_KERNEL_IDTR 696
#define MERCURY_PAD_RESULT 712
#define MERCURY_PAD_BYTES 1024

#ifndef __ASSEMBLY__
#include "mercury_door.h"

struct mercury_pad {
	__u64 gates[MERCURY_PAD_GATES][2];
	__u64 descriptors[MERCURY_PAD_DESCRIPTORS];
	__u64 gdtr[2];
	__u64 idtr[2];
	__u64 nmis;
	__u64 machine_checks;
	struct mercury_segment segments[4];	/* FS, GS, LDTR, TR */
	__u64 high[2];				/* of the bases of LDTR and TR */
	__u64 way_out[20];
	__u64 address;				/* in both address spaces */
	__u64 stack[37];
};

struct desc_ptr;
void mercury_pad_prepare(struct mercury_door *door);
void mercury_pad_note(struct mercury_door *door, const struct desc_ptr *gdt,
		      u64 (*descriptor)(unsigned int selector, const struct desc_ptr *gdt));
extern char mercury_pad_nmi[], mercury_pad_fault[], mercury_pad_machine_check[];
#endif
#endif
