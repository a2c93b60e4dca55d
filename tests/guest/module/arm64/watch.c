// SPDX-License-Identifier: GPL-2.0
/*
 * ARM64: what observer.c leaves to the architecture. A guest sees nothing of
 * EL2, so its view never changes; what may be planted is what neither the
 * kernel's code nor an exception in it would need before it is taken out.
 */
#include <linux/string.h>
#include <asm/barrier.h>
#include <asm/sysreg.h>

#include "arch.h"
#include "mercury_test.h"
#include "observer.h"

const char *const arch_vector_name = "v";
const char *const arch_view_name = "view";

u64 arch_clock(void)
{
	u64 ticks;

	isb();
	ticks = read_sysreg(cntvct_el0);
	isb();
	return ticks;
}

static void plant(u64 *value, int which, u64 planted)
{
	if (value[which] != ABSENT)
		value[which] = planted;
}

void arch_plant(struct watch *watch, int cpu)
{
	u64 *value = watch->task.value;
	u64 turn = watch->turn;
	u8 *byte = watch->vectors.byte[0];
	int at;

	plant(value, TASK_contextidr, 0x5eed0000 + turn);
	plant(value, TASK_tpidr_el0, 0x0000123456789000 + turn);
	plant(value, TASK_tpidrro_el0, 0x0000234567891000 + turn);
	/* The exception that brought us here has been put on the stack long ago. */
	plant(value, TASK_elr, 0xffff00005eed0000 + 4 * turn);
	plant(value, TASK_spsr, 0x600003c5);
	plant(value, TASK_esr, 0x5eed);
	plant(value, TASK_far, 0x00005eedc0de0000 + (turn << 4) + cpu);
	plant(value, TASK_par, 0xff00000000000b80 + (turn << 12 & 0xfffffff000));
	plant(value, TASK_dbgbvr0, 0x11110000 + 4 * turn);
	plant(value, TASK_dbgbvr1, 0x22220000 + 4 * turn);
	plant(value, TASK_dbgwvr0, 0x33330000 + 8 * turn);
	plant(value, TASK_dbgwvr1, 0x44440000 + 8 * turn);
	plant(value, TASK_fpcr, 3 << 22 | 1 << 24); /* round towards zero, flush to zero */
	plant(value, TASK_fpsr, 0x0800001f);
	/* Those that the kernel's own code is signed with (IA) stay. */
	plant(value, TASK_apib_lo, 0x5eed5eed00000001 + turn);
	plant(value, TASK_apda_hi, 0x5eed5eed00000002 + turn);
	plant(value, TASK_apdb_lo, 0x5eed5eed00000003 + turn);
	plant(value, TASK_apga_hi, 0x5eed5eed00000004 + turn);
	for (at = 0; at < vector_bytes_writable(); at++)
		byte[at] = 17 * (at / 16) + at + turn + 1;
}

u64 arch_ignored(int cpu_register, bool since_attach)
{
	return 0;
}

/* Nobody can take EL2 from here behind Mercury's back. */
void arch_take(const struct watch *watch)
{
}

void arch_give_back(const struct watch *watch)
{
}

bool arch_view_is_wrong(const struct cpu_state *state, bool guest, u64 *seen)
{
	return false;
}

void arch_before_vectors(const struct cpu_state *state)
{
}

void arch_keep_newer(struct cpu_state *native, const struct cpu_state *newer)
{
}
