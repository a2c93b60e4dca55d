// SPDX-License-Identifier: GPL-2.0
/*
 * Watching the door: what a CPU's registers are immediately before and
 * immediately after it goes through, interrupts off on both sides.
 *
 * mercury.ko, built for tests, calls before() and after() around the door of
 * each CPU. Nothing runs in between but the door, so every register must be
 * the same, with one exception that is checked as well: EFER.SVME is set in a
 * guest and clear natively.
 *
 * Half of the passages look at the state as they find it. The other half plant
 * values first (and take them out again): a register that happens to be zero
 * would hide that it is lost.
 *
 * When a CPU has left, its state is also compared with what it was when it
 * entered, long ago: damage done on the way in and seen as "unchanged" on the
 * way out would be missed otherwise.
 */
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>

#include "mercury_test.h"
#include "observer.h"

struct watch **watches;
int take_on = -1;

#define EACH_VECTOR(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

/*
 * Storing vector registers changes nothing, so the kernel's rules for their
 * use (kernel_fpu_begin) do not apply: that would save the very state that we
 * want to look at.
 */
static void read_vectors(struct vectors *vectors)
{
	if (boot_cpu_has(X86_FEATURE_AVX) && boot_cpu_has(X86_FEATURE_OSXSAVE)) {
#define STORE_WIDE(n) asm volatile("vmovdqu %%ymm" #n ", %0" : "=m"(vectors->byte[n]));
		EACH_VECTOR(STORE_WIDE)
	} else {
#define STORE(n) asm volatile("movdqu %%xmm" #n ", %0" : "=m"(vectors->byte[n]));
		EACH_VECTOR(STORE)
	}
}

/* MOVDQU loads the lower half and leaves the upper one alone. */
static void write_vectors(const struct vectors *vectors)
{
#define LOAD(n) asm volatile("movdqu %0, %%xmm" #n : : "m"(vectors->byte[n]));
	EACH_VECTOR(LOAD)
}

static u64 read_clock(void)
{
	u32 low, high;

	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

/* Values that nobody has by chance, and that do nothing while interrupts are off. */
static void plant(struct watch *watch, int cpu)
{
	struct task_state *planted = &watch->task;
	u64 *value = planted->value;
	int index, at;

	watch->before_planting = watch->task;
	watch->vectors_before_planting = watch->vectors;
	value[TASK_cr2] = 0x00005eedc0de0000 + (watch->turn << 4) + cpu;
	value[TASK_dr0] = 0x11110000 + watch->turn;
	value[TASK_dr1] = 0x22220000 + watch->turn;
	value[TASK_dr2] = 0x33330000 + watch->turn;
	value[TASK_dr3] = 0x44440000 + watch->turn;
	/* Lengths and kinds of the fourth breakpoint, exactness bits: armed nothing. */
	value[TASK_dr7] = 0xf0000700;
	value[TASK_ds] = __USER_DS;
	value[TASK_es] = __USER_DS;
	value[TASK_fs_base] = 0x0000123456789000 + watch->turn;
	value[TASK_kernel_gs_base] = 0x0000234567891000 + watch->turn;
	value[TASK_mxcsr] = 0x7f80; /* all masked, round towards zero */
	for (index = 0; index < VECTORS; index++)
		for (at = 0; at < 16; at++)
			watch->vectors.byte[index][at] = 17 * index + at + watch->turn + 1;
	write_task_state(planted);
	write_vectors(&watch->vectors);
	watch->is_planted = true;
	watch->planted++;
}

static void uproot(struct watch *watch)
{
	write_vectors(&watch->vectors_before_planting);
	write_task_state(&watch->before_planting);
	watch->is_planted = false;
}

static void note(struct watch *watch, int direction, int which, u64 expected, u64 found)
{
	struct finding *finding = &watch->findings[direction][which];

	watch->total++;
	if (!finding->count++) {
		finding->expected = expected;
		finding->found = found;
	}
}

static void before(int cpu, int direction)
{
	struct watch *watch = watches[cpu];

	read_vectors(&watch->vectors);
	read_task_state(&watch->task);
	read_cpu_state(&watch->cpu);
	if (direction == 0) {
		watch->at_attach = watch->cpu;
		watch->has_entered = true;
	}
	/* Over a round trip both directions see both kinds. */
	if (++watch->turn & 2)
		plant(watch, cpu);
	if (direction == 0 && cpu == take_on)
		msr_write(MSR_EFER, watch->cpu.value[CPU_efer] | EFER_SVME);
	watch->clock = read_clock();
}

static void compare_cpu(struct watch *watch, int direction, const struct cpu_state *found)
{
	/* Bits that the kernel sets by task, not by CPU. */
	const u64 by_task = X86_CR4_TSD | X86_CR4_PCE;
	int index;

	for (index = 0; index < CPU_COUNT; index++) {
		u64 ignored = index == CPU_efer ? EFER_SVME : 0;
		u64 then = watch->at_attach.value[index];

		if ((watch->cpu.value[index] ^ found->value[index]) & ~ignored)
			note(watch, direction, FINDING_CPU + index,
			     watch->cpu.value[index], found->value[index]);
		if (index == CPU_cr4)
			ignored = by_task;
		if (direction == 1 && watch->has_entered &&
		    (then ^ found->value[index]) & ~ignored)
			note(watch, direction, FINDING_SINCE_ATTACH + index,
			     then, found->value[index]);
	}
}

/*
 * Mercury was found to do damage (it has been told to, by a mutant). The
 * damage is noted; were it left, the kernel or some process would die of it.
 */
static void heal(struct watch *watch, bool guest)
{
	if (!guest && watch->has_entered) {
		struct cpu_state native = watch->at_attach;

		/* Before the door they were the guest's own: newer, and right. */
		native.value[CPU_cr0] = watch->cpu.value[CPU_cr0];
		native.value[CPU_cr4] = watch->cpu.value[CPU_cr4];
		write_cpu_state(&native);
	}
	write_vectors(&watch->vectors);
	write_task_state(&watch->task);
}

static void after(int cpu, int direction, int result)
{
	struct watch *watch = watches[cpu];
	u64 clock = read_clock();
	struct task_state task;
	struct cpu_state state;
	bool guest = (direction == 0) == (result == 0);
	u64 findings = watch->total;
	int index;

	/* What was taken is given back, unless Mercury went in over it. */
	if (direction == 0 && cpu == take_on && result)
		msr_write(MSR_EFER, watch->cpu.value[CPU_efer]);
	read_cpu_state(&state);
	/* Found above; left set, it would make a trap of looking at the vectors. */
	if (state.value[CPU_cr0] & X86_CR0_TS)
		asm volatile("clts");
	read_vectors(&watch->vectors_found);
	read_task_state(&task);
	for (index = 0; index < TASK_COUNT; index++)
		if (task.value[index] != watch->task.value[index])
			note(watch, direction, FINDING_TASK + index,
			     watch->task.value[index], task.value[index]);
	for (index = 0; index < VECTORS; index++)
		if (memcmp(watch->vectors.byte[index], watch->vectors_found.byte[index], 32))
			note(watch, direction, FINDING_VECTOR + index,
			     *(u64 *)watch->vectors.byte[index],
			     *(u64 *)watch->vectors_found.byte[index]);
	compare_cpu(watch, direction, &state);
	if (!!(state.value[CPU_efer] & EFER_SVME) != guest)
		note(watch, direction, FINDING_SVME, guest, state.value[CPU_efer]);
	/* Forward, and by less than some ten seconds of any clock. */
	if (clock - watch->clock > 1ull << 36)
		note(watch, direction, FINDING_CLOCK, watch->clock, clock);
	watch->passages[direction]++;
	if (result)
		watch->failed[direction]++;
	if (watch->total != findings)
		heal(watch, guest);
	if (watch->is_planted)
		uproot(watch);
}

const struct mercury_observer door_observer = { .before = before, .after = after };
