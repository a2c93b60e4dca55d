/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the way to the quiet point asks of x86.
 *
 * The slot of suspend operations is ACPI's, and there is no function that says what
 * is in it. But suspend_set_ops() stores into it: its first store of a register to a
 * place that is named relative to the instruction pointer (48 or 4c, 89, and a mode
 * byte of 00 in the upper and 101 in the lower bits) names the slot. Whoever takes the
 * slot looks whether he finds himself there, before he relies on it.
 */
#ifndef MERCURY_RESTING_H
#define MERCURY_RESTING_H

#include <linux/suspend.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>
#include <asm/tsc.h>

static inline const struct platform_suspend_ops **mercury_suspend_slot(void)
{
	const u8 *at = (const u8 *)suspend_set_ops;
	u8 code[128];
	unsigned int byte;

	if (copy_from_kernel_nofault(code, at, sizeof(code)))
		return NULL;
	for (byte = 0; byte + 7 <= sizeof(code); byte++) {
		s32 distance;

		if ((code[byte] != 0x48 && code[byte] != 0x4c) || code[byte + 1] != 0x89 ||
		    (code[byte + 2] & 0xc7) != 0x05)
			continue;
		memcpy(&distance, code + byte + 3, sizeof(distance));
		return (const struct platform_suspend_ops **)(at + byte + 7 + distance);
	}
	return NULL;
}

/* Of the clock that the image counts with. */
static inline unsigned int mercury_ticks_per_millisecond(void)
{
	return tsc_khz;
}

/* The registers that no control block has: the current task's go to memory. */
static inline void mercury_registers_begin(void)
{
	kernel_fpu_begin();
}

static inline void mercury_registers_end(void)
{
	kernel_fpu_end();
}

#endif
