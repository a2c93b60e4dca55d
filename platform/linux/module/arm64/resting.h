/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the way to the quiet point asks of ARM64.
 *
 * The slot of suspend operations is free where the firmware has no SYSTEM_SUSPEND, and
 * PSCI's otherwise; there is no function that says what is in it. But suspend_set_ops()
 * stores into it: its first store of 64 bits (STR, unsigned offset) to a place that was
 * made by ADRP, or by ADRP and ADD, names the slot. Whoever takes the slot looks whether
 * he finds himself there, before he relies on it.
 */
#ifndef MERCURY_RESTING_H
#define MERCURY_RESTING_H

#include <linux/suspend.h>
#include <asm/sysreg.h>
#include <linux/uaccess.h>

static inline const struct platform_suspend_ops **mercury_suspend_slot(void)
{
	unsigned long at = (unsigned long)suspend_set_ops;
	unsigned long known[32] = { 0 };	/* what a register points at; 0: not known */
	unsigned int number;
	u32 code[48];

	if (copy_from_kernel_nofault(code, (void *)at, sizeof(code)))
		return NULL;
	for (number = 0; number < ARRAY_SIZE(code); number++) {
		u32 word = code[number];
		unsigned int to = word & 31, from = word >> 5 & 31;

		if ((word & 0x9f000000) == 0x90000000) {	/* ADRP */
			s64 pages = sign_extend64((word >> 5 & 0x7ffff) << 2 | (word >> 29 & 3), 20);

			known[to] = ((at + 4 * number) & PAGE_MASK) + pages * PAGE_SIZE;
		} else if ((word & 0xffc00000) == 0x91000000) {	/* ADD, 12 bits */
			known[to] = known[from] ? known[from] + (word >> 10 & 0xfff) : 0;
		} else if ((word & 0xffc00000) == 0xf9000000 && known[from]) {	/* STR */
			return (const struct platform_suspend_ops **)(known[from] + (word >> 10 & 0xfff) * 8);
		}
	}
	return NULL;
}

/* Of the clock that the image counts with. */
static inline unsigned int mercury_ticks_per_millisecond(void)
{
	return read_sysreg(cntfrq_el0) / 1000;
}

/* The notifiers of CPU power management have put vector registers into memory. */
static inline void mercury_registers_begin(void)
{
}

static inline void mercury_registers_end(void)
{
}

#endif
