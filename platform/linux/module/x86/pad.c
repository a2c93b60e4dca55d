// SPDX-License-Identifier: GPL-2.0
/*
 * The landing pad (mercury_pad.h): laid out once for each CPU, and what the
 * image wants to know of FS, GS, LDTR and TR noted on it on each way in.
 */
#include <linux/build_bug.h>
#include <linux/mm.h>
#include <asm/desc.h>
#include <asm/segment.h>

#include "mercury.h"
#include "mercury_pad.h"

static_assert(sizeof(struct mercury_pad) == MERCURY_PAD_BYTES);
static_assert(MERCURY_PAD_OFFSET + MERCURY_PAD_BYTES == PAGE_SIZE);
static_assert(offsetof(struct mercury_pad, gdtr) == MERCURY_PAD_GDTR);
static_assert(offsetof(struct mercury_pad, nmis) == MERCURY_PAD_NMIS);
static_assert(offsetof(struct mercury_pad, way_out) == MERCURY_PAD_CONTROL4);
static_assert(offsetof(struct mercury_pad, address) == MERCURY_PAD_RESULT + 8);

static struct mercury_pad *pad_of(struct mercury_door *door)
{
	return (void *)door + MERCURY_PAD_OFFSET;
}

static void set_table(u64 operand[2], const void *base, u64 limit)
{
	operand[0] = (u64)base << 16 | limit;
	operand[1] = (u64)base >> 48;
}

static void set_gate(struct mercury_pad *pad, unsigned int vector, const char *handler)
{
	u64 at = (u64)handler;

	/* A present interrupt gate, on whatever stack there is. */
	pad->gates[vector][0] = (at & 0xffff) | (u64)__KERNEL_CS << 16 | 0x8e00ull << 32 |
				(at >> 16 & 0xffff) << 48;
	pad->gates[vector][1] = at >> 32;
}

void mercury_pad_prepare(struct mercury_door *door)
{
	struct mercury_pad *pad = pad_of(door);

	set_gate(pad, 2, mercury_pad_nmi);
	set_gate(pad, 11, mercury_pad_fault);
	set_gate(pad, 13, mercury_pad_fault);
	set_gate(pad, 18, mercury_pad_machine_check);
	pad->descriptors[__KERNEL_CS / 8] = 0x00af9b000000ffffull;
	pad->descriptors[__KERNEL_DS / 8] = 0x00cf93000000ffffull;
	set_table(pad->gdtr, pad->descriptors, sizeof(pad->descriptors) - 1);
	set_table(pad->idtr, pad->gates, sizeof(pad->gates) - 1);
	pad->address = (u64)pad;
}

static void note_system(struct mercury_pad *pad, unsigned int which, u16 selector, const struct desc_ptr *gdt)
{
	const u64 *descriptor = (const void *)gdt->address + (selector & ~7u);
	bool there = (selector & ~7u) && (selector | 15) <= gdt->size;

	pad->segments[2 + which].selector = selector;
	pad->segments[2 + which].descriptor = there ? descriptor[0] : 0;
	pad->high[which] = there ? descriptor[1] & 0xffffffff : 0;
}

/* IRQs are off. `descriptor` looks a code or data selector up. */
void mercury_pad_note(struct mercury_door *door, const struct desc_ptr *gdt,
		      u64 (*descriptor)(unsigned int selector, const struct desc_ptr *gdt))
{
	struct mercury_pad *pad = pad_of(door);
	unsigned int fs, gs;
	u16 ldtr, tr;

	asm("mov %%fs, %0" : "=r"(fs));
	asm("mov %%gs, %0" : "=r"(gs));
	asm("sldt %0" : "=r"(ldtr));
	asm("str %0" : "=r"(tr));
	pad->segments[0].selector = fs & 0xffff;
	pad->segments[0].descriptor = descriptor(fs & 0xffff, gdt);
	pad->segments[1].selector = gs & 0xffff;
	pad->segments[1].descriptor = descriptor(gs & 0xffff, gdt);
	note_system(pad, 0, ldtr, gdt);
	note_system(pad, 1, tr, gdt);
}
