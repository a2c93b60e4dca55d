// SPDX-License-Identifier: GPL-2.0
/*
 * What there is to tell: status, log, samples, proofs.
 *
 * Status asks every CPU by a hypercall and believes nothing else. If the image has
 * died, that is the exit at which the CPU is freed. The log is
 * one ring in the module: its own records, and those of the image, fetched from
 * there while a CPU is attached (by hypercall) or while the image is still in
 * memory (through the door).
 */
#include <linux/io.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>

#include "mercury.h"

#define RECORDS 1024
#define SAMPLES 8192

static struct mercury_record *records;
static struct mercury_sample *samples;
static u64 last_record, last_sample;
static DEFINE_RAW_SPINLOCK(ring_lock);	/* the walk takes it with preemption off */

int mercury_report_init(void)
{
	records = vzalloc(RECORDS * sizeof(*records));
	samples = vzalloc(SAMPLES * sizeof(*samples));
	if (records && samples)
		return 0;
	mercury_report_exit();
	return -ENOMEM;
}

void mercury_report_exit(void)
{
	vfree(records);
	vfree(samples);
}

/* ---- log ---- */

static void append(struct mercury_record record)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&ring_lock, flags);
	record.sequence = ++last_record;
	records[record.sequence % RECORDS] = record;
	raw_spin_unlock_irqrestore(&ring_lock, flags);
}

void mercury_note(u16 event, u8 level, int cpu, u64 a, u64 b, u64 c, u64 d)
{
	append((struct mercury_record) {
		.ticks = mercury_ticks(), .event = event, .level = level, .origin = 1, .cpu = cpu,
		.arguments = { a, b, c, d },
	});
}

/* The image's last words. */
static void look_for_death(u16 event, u32 cpu)
{
	if (mercury_machine.dead || (event != MERCURY_EVENT_HOST_EXCEPTION &&
				     event != MERCURY_EVENT_HOST_PANIC && event != MERCURY_EVENT_STANDSTILL))
		return;
	mercury_machine.dead_cpu = cpu;
	mercury_machine.dead_event = event;
	mercury_machine.dead = true;
}

static bool take_over(const u64 words[8])
{
	if (!words[0])
		return false;
	look_for_death(words[2], words[2] >> 32);
	append((struct mercury_record) {
		.ticks = words[1], .event = words[2], .level = words[2] >> 16, .cpu = words[2] >> 32,
		.arguments = { words[3], words[4], words[5], words[6], words[7] },
	});
	mercury_machine.image_log_next = words[0] + 1;
	return true;
}

/* The machine's lock is held. */
void mercury_drain_log(void)
{
	struct mercury_visit visit = { .number = 0 };

	if (!mercury_machine.image_runs)
		return;
	for (;;) {
		unsigned long flags;

		/* This CPU is a guest or not, and stays it while IRQs are off. */
		local_irq_save(flags);
		visit.kind = MERCURY_VISIT_CALL;
		visit.number = MERCURY_CALL_LOG;
		visit.arguments[0] = mercury_machine.image_log_next;
		mercury_visit_here(&visit);
		if (!mercury_answered(visit.status)) {
			visit.kind = MERCURY_VISIT_DOOR;
			visit.number = MERCURY_OPERATION_LOG;
			mercury_visit_here(&visit);
		}
		local_irq_restore(flags);
		if (!take_over(visit.words))
			break;
	}
}

unsigned int mercury_log_copy(u64 *from, struct mercury_record *to, unsigned int capacity)
{
	unsigned int count = 0;
	unsigned long flags;

	raw_spin_lock_irqsave(&ring_lock, flags);
	if (last_record >= RECORDS && *from <= last_record - RECORDS)
		*from = last_record - RECORDS + 1;
	if (!*from)
		*from = 1;
	while (count < capacity && *from <= last_record)
		to[count++] = records[(*from)++ % RECORDS];
	raw_spin_unlock_irqrestore(&ring_lock, flags);
	return count;
}

/* ---- samples ---- */

void mercury_sample(u32 kind, u32 cpu, u64 begin, u64 end)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&ring_lock, flags);
	last_sample++;
	samples[last_sample % SAMPLES] = (struct mercury_sample) {
		.sequence = last_sample, .kind = kind, .cpu = cpu, .begin = begin, .end = end,
	};
	raw_spin_unlock_irqrestore(&ring_lock, flags);
}

unsigned int mercury_samples_copy(u64 *from, struct mercury_sample *to, unsigned int capacity)
{
	unsigned int count = 0;
	unsigned long flags;

	raw_spin_lock_irqsave(&ring_lock, flags);
	if (last_sample >= SAMPLES && *from <= last_sample - SAMPLES)
		*from = last_sample - SAMPLES + 1;
	if (!*from)
		*from = 1;
	while (count < capacity && *from <= last_sample)
		to[count++] = samples[(*from)++ % SAMPLES];
	raw_spin_unlock_irqrestore(&ring_lock, flags);
	return count;
}

/* ---- status ---- */

/*
 * Why a CPU is native. Nobody made it native while the machine is attached:
 * then the image died, on this CPU or on another, and has said so.
 */
static u32 why_native(int cpu)
{
	struct mercury_machine *machine = &mercury_machine;

	if (mercury_hotplug_why(cpu) || machine->stage != MERCURY_STAGE_ATTACHED)
		return mercury_hotplug_why(cpu);
	if (!machine->dead)
		mercury_drain_log();
	if (machine->dead) {
		mercury_note(MERCURY_EVENT_DIED_NATIVE, MERCURY_ERROR, cpu, machine->dead_cpu,
			     machine->dead_event, 0, 0);
		mercury_why_native(cpu, MERCURY_EVENT_DIED_NATIVE);
	}
	return mercury_hotplug_why(cpu);
}

static void ask_cpu(struct mercury_visit *visit, int cpu, struct mercury_cpu_status *status)
{
	unsigned int half;
	int error;

	visit->kind = MERCURY_VISIT_CALL;
	visit->number = MERCURY_CALL_STATUS;
	error = mercury_visit(cpu, visit);
	if (error || !mercury_succeeded(visit->status)) {
		status->state = error ? MERCURY_CPU_SILENT : MERCURY_CPU_NATIVE;
		status->why = error ? mercury_hotplug_why(cpu) : why_native(cpu);
		return;
	}
	status->state = MERCURY_CPU_ATTACHED;
	status->entries = visit->words[4];
	for (half = 0; half < 2; half++) {
		visit->number = MERCURY_CALL_COUNTERS;
		visit->arguments[0] = half * 8;
		if (!mercury_visit(cpu, visit) && mercury_succeeded(visit->status))
			memcpy(&status->exits[half * 8], visit->words, 8 * sizeof(u64));
	}
}

static void ask_memory(struct mercury_visit *visit, int cpu, struct mercury_status *status)
{
	visit->kind = MERCURY_VISIT_CALL;
	visit->number = MERCURY_CALL_MEMORY;
	if (mercury_visit(cpu, visit) || !mercury_succeeded(visit->status))
		return;
	status->stage2_bytes = visit->words[0] * PAGE_SIZE;
	status->leaves_4k = visit->words[1];
	status->leaves_2m = visit->words[2];
	status->leaves_1g = visit->words[3];
	status->mapped_on_demand = visit->words[4];
	status->spare_bytes = visit->words[5] * PAGE_SIZE;
	status->stage2_levels = visit->words[6];
}

int mercury_status_fill(struct mercury_status *status, struct mercury_cpu_status *cpus, u32 capacity)
{
	struct mercury_machine *machine = &mercury_machine;
	struct mercury_visit *visit = kzalloc(sizeof(*visit), GFP_KERNEL);
	unsigned int attached = 0, online = 0;
	bool can_ask = *mercury_backend();
	int cpu;

	if (!visit)
		return -ENOMEM;
	status->abi = MERCURY_ABI_VERSION;
	status->cpus_possible = num_possible_cpus();
	status->rope_seconds_left = mercury_rope_left();
	cpus_read_lock();
	for_each_possible_cpu(cpu) {
		struct mercury_cpu_status one = { .cpu = cpu, .state = MERCURY_CPU_OFFLINE };

		if (cpu_online(cpu)) {
			online++;
			one.state = MERCURY_CPU_NATIVE;
			if (can_ask)
				ask_cpu(visit, cpu, &one);
			if (one.state == MERCURY_CPU_ATTACHED && !attached++)
				ask_memory(visit, cpu, status);
		}
		if (status->cpu_count < capacity)
			cpus[status->cpu_count++] = one;
	}
	cpus_read_unlock();
	kfree(visit);
	status->cpus_online = online;
	status->state = !attached ? MERCURY_STATE_NATIVE :
			attached == online ? MERCURY_STATE_ATTACHED : MERCURY_STATE_MIXED;
	status->lent_bytes = (u64)machine->lent.frames * PAGE_SIZE;
	if (status->lent_bytes) {
		status->image_bytes = machine->image_frames * PAGE_SIZE;
		status->per_cpu_bytes = (u64)machine->cpus * MERCURY_CPU_PAGES * PAGE_SIZE;
		status->host_table_bytes = machine->table_frames * PAGE_SIZE;
		status->shared_bytes = status->lent_bytes - status->image_bytes - status->per_cpu_bytes -
				       status->host_table_bytes - status->stage2_bytes - status->spare_bytes;
		/* The proof pages are lent too, though not to the image. */
		status->ledger_pages = machine->lent.frames + 2;
	}
	status->ledger_maps = !!machine->doors;
	status->ledger_notifiers = machine->notifiers;
	status->ledger_hotplug_states = machine->hotplug_states;
	status->attaches = machine->attaches;
	status->detaches = machine->detaches;
	status->attaches_refused = machine->refusals;
	status->kept_bytes = machine->kept_bytes;
	return 0;
}

/* ---- proof ---- */

static bool ask(u64 number)
{
	u64 words[MERCURY_CALL_WORDS];

	return mercury_succeeded(mercury_call(MERCURY_CALL_BASE | number, 0, words));
}

static u64 faults(void)
{
	u64 words[MERCURY_CALL_WORDS];

	/* MERCURY_EXIT_STAGE2_MAPPED */
	if (!mercury_succeeded(mercury_call(MERCURY_CALL_BASE | MERCURY_CALL_COUNTERS, 0, words)))
		return 0;
	return words[MERCURY_EXIT_STAGE2_MAPPED];
}

/* On the CPU that is to be proved, IRQs off. */
void mercury_prove_here(struct mercury_proof *proof)
{
	u64 *plain = mercury_machine.lent.proof, *other = (void *)plain + PAGE_SIZE, before;

	*plain = proof->plain;
	*other = proof->other;
	proof->answered = ask(MERCURY_CALL_FLIP);
	proof->read_flipped = READ_ONCE(*plain);
	ask(MERCURY_CALL_RESTORE);
	before = faults();
	ask(MERCURY_CALL_UNMAP);
	proof->read_unmapped = READ_ONCE(*plain);
	proof->faults_raised = faults() - before;
}
