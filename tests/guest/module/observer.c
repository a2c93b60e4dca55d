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
#include <linux/cpumask.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>

#include "mercury_observer.h"
#include "mercury_test.h"
#include "state.h"

#define VECTORS 16

enum {
	FINDING_TASK = 0,
	FINDING_CPU = FINDING_TASK + TASK_COUNT,
	FINDING_SINCE_ATTACH = FINDING_CPU + CPU_COUNT,
	FINDING_VECTOR = FINDING_SINCE_ATTACH + CPU_COUNT,
	FINDING_SVME = FINDING_VECTOR + VECTORS,
	FINDING_CLOCK,
	FINDING_COUNT,
};

struct finding {
	u64 count;
	u64 expected; /* of the first one */
	u64 found;
};

struct vectors {
	u8 byte[VECTORS][32];
};

/* One CPU's. */
struct watch {
	struct task_state task;
	struct task_state before_planting;
	struct cpu_state cpu;
	struct cpu_state at_attach;
	struct vectors vectors __aligned(32);
	struct vectors vectors_before_planting __aligned(32);
	struct vectors vectors_found __aligned(32);
	u64 clock;
	u64 passages[2];
	u64 failed[2];
	u64 planted;
	u32 turn;
	bool is_planted;
	bool has_entered;
	struct finding findings[2][FINDING_COUNT];
};

static struct watch **watches;
static typeof(&mercury_set_observer) set_observer;

/*
 * On this CPU somebody else takes the virtualization extension (sets
 * EFER.SVME) between Mercury's probe and its entry; -1: nobody does.
 */
static int take_on = -1;

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

#define WRITE_RAW(instruction, value) \
	asm volatile(instruction : : "r"((u64)(value)) : "memory")

static void write_task_state(const struct task_state *state)
{
	const u64 *value = state->value;
	u32 mxcsr = value[TASK_mxcsr];
	u16 ds = value[TASK_ds], es = value[TASK_es];

	/* No breakpoint may be armed while its address is half written. */
	WRITE_RAW("mov %0, %%db7", 0x400);
	WRITE_RAW("mov %0, %%db0", value[TASK_dr0]);
	WRITE_RAW("mov %0, %%db1", value[TASK_dr1]);
	WRITE_RAW("mov %0, %%db2", value[TASK_dr2]);
	WRITE_RAW("mov %0, %%db3", value[TASK_dr3]);
	WRITE_RAW("mov %0, %%db7", value[TASK_dr7]);
	WRITE_RAW("mov %0, %%cr2", value[TASK_cr2]);
	asm volatile("mov %0, %%ds" : : "r"(ds) : "memory");
	asm volatile("mov %0, %%es" : : "r"(es) : "memory");
	msr_write(MSR_FS_BASE, value[TASK_fs_base]);
	msr_write(MSR_KERNEL_GS_BASE, value[TASK_kernel_gs_base]);
	asm volatile("ldmxcsr %0" : : "m"(mxcsr));
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

static void after(int cpu, int direction, int result)
{
	struct watch *watch = watches[cpu];
	u64 clock = read_clock();
	struct task_state task;
	struct cpu_state state;
	bool guest = (direction == 0) == (result == 0);
	int index;

	/* What was taken is given back, unless Mercury went in over it. */
	if (direction == 0 && cpu == take_on && result)
		msr_write(MSR_EFER, watch->cpu.value[CPU_efer]);
	read_vectors(&watch->vectors_found);
	read_task_state(&task);
	read_cpu_state(&state);
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
	if (watch->is_planted)
		uproot(watch);
}

static const struct mercury_observer observer = { .before = before, .after = after };

static void forget(void)
{
	int cpu;

	if (!watches)
		return;
	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		kfree(watches[cpu]);
	kfree(watches);
	watches = NULL;
}

static int start(void)
{
	int cpu, error;

	if (set_observer)
		return -EBUSY;
	forget();
	watches = kcalloc(nr_cpu_ids, sizeof(*watches), GFP_KERNEL);
	if (!watches)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		watches[cpu] = kzalloc(sizeof(**watches), GFP_KERNEL);
		if (!watches[cpu])
			return -ENOMEM;
	}
	/* Found by name and pinned: this module does not need that one to load. */
	set_observer = symbol_get(mercury_set_observer);
	if (!set_observer)
		return -ENOENT;
	error = set_observer(&observer);
	if (error) {
		symbol_put(mercury_set_observer);
		set_observer = NULL;
	}
	return error;
}

void observer_stop(void)
{
	if (set_observer) {
		set_observer(NULL);
		symbol_put(mercury_set_observer);
		set_observer = NULL;
	}
	forget();
}

static void name_finding(int which, char *name, size_t size)
{
	if (which < FINDING_CPU)
		snprintf(name, size, "%s", task_register_names[which - FINDING_TASK]);
	else if (which < FINDING_SINCE_ATTACH)
		snprintf(name, size, "%s", cpu_register_names[which - FINDING_CPU]);
	else if (which < FINDING_VECTOR)
		snprintf(name, size, "%s-since-attach",
			 cpu_register_names[which - FINDING_SINCE_ATTACH]);
	else if (which < FINDING_SVME)
		snprintf(name, size, "xmm%d", which - FINDING_VECTOR);
	else
		snprintf(name, size, "%s", which == FINDING_SVME ? "svme" : "tsc");
}

static void report(struct answer *answer)
{
	int cpu, direction, which;
	char name[40];

	if (!watches)
		return;
	for_each_possible_cpu(cpu) {
		struct watch *watch = watches[cpu];

		if (!watch)
			continue;
		answer_add(answer, "cpu %d attaches %llu failed %llu detaches %llu failed %llu planted %llu\n",
			   cpu, watch->passages[0], watch->failed[0],
			   watch->passages[1], watch->failed[1], watch->planted);
		for (direction = 0; direction < 2; direction++)
			for (which = 0; which < FINDING_COUNT; which++) {
				struct finding *finding = &watch->findings[direction][which];

				if (!finding->count)
					continue;
				name_finding(which, name, sizeof(name));
				answer_add(answer, "differs %s cpu %d direction %s times %llu expected %#llx found %#llx\n",
					   name, cpu, direction ? "detach" : "attach",
					   finding->count, finding->expected, finding->found);
			}
	}
}

int command_observer(const char *words, struct answer *answer)
{
	if (!strcmp(words, "on"))
		return start();
	if (!strncmp(words, "take ", 5))
		return kstrtoint(words + 5, 10, &take_on);
	if (!strcmp(words, "off")) {
		take_on = -1;
		observer_stop();
		return 0;
	}
	if (!strcmp(words, "report")) {
		report(answer);
		return 0;
	}
	return -EINVAL;
}
