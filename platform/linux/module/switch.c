// SPDX-License-Identifier: GPL-2.0
/*
 * Attach and detach.
 *
 * Attach has four parts. Everything that can be known without touching
 * anything comes first (preflight, the image). Then memory is taken and the
 * image builds its tables, in process context, step by step. Then the CPUs go
 * in one after another, each with its own IRQs off for no longer than its own
 * switch takes; they may, because the nested map is the identity. When all are
 * in, the seal commits. Whatever fails before it is undone (walk.h).
 *
 * Detach is each CPU asking to be let go, then giving everything back.
 */
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "mercury.h"
#include "walk.h"

struct mercury_machine mercury_machine = {
	.lock = __MUTEX_INITIALIZER(mercury_machine.lock),
	.stage = MERCURY_STAGE_NATIVE,
};

#define machine mercury_machine

/* ---- preparation ---- */

struct preparation {
	struct mercury_visit visit;	/* large: not on the stack */
	struct mercury_image image;
	struct mercury_facts facts;	/* the smallest of all CPUs */
	struct mercury_verdict *refusal;
	unsigned int first_table, parameters_frame, first_free;
	unsigned int peek_frame;
};

static unsigned int cpu_frame(const struct preparation *preparation, unsigned int cpu, unsigned int page)
{
	return preparation->image.frames + cpu * MERCURY_CPU_PAGES + page;
}

static u64 frame_physical(unsigned int number)
{
	return virt_to_phys(mercury_frame(&machine.lent, number));
}

static int refuse(struct preparation *preparation, u32 requirement, int error, u64 read, const char *detail)
{
	mercury_verdict_set(preparation->refusal, requirement, -1, error, read, detail);
	return -error;
}

/* Where the image is entered. */
static u64 entry_physical(const struct preparation *preparation)
{
	u64 offset = preparation->image.header->entry - MERCURY_IMAGE_BASE;

	return frame_physical(offset / PAGE_SIZE) + offset % PAGE_SIZE;
}

/* Copies the image, and maps it and everything else where door.rs says. */
static int map_image(struct preparation *preparation, struct mercury_tables *tables)
{
	const struct mercury_image_header *header = preparation->image.header;
	const u8 *data = (const u8 *)header;
	unsigned int segment, page;
	int error = 0;

	for (segment = 0; segment < header->segment_count; segment++) {
		const struct mercury_image_segment *part = &header->segments[segment];

		for (page = part->first_page; page < part->first_page + part->pages; page++) {
			u64 from = (u64)page * PAGE_SIZE;
			u64 bytes = from < header->file_bytes ?
				    min_t(u64, PAGE_SIZE, header->file_bytes - from) : 0;
			u8 *frame = mercury_frame(&machine.lent, page);

			if (bytes < PAGE_SIZE)
				mercury_clear(frame);
			memcpy(frame, data + from, bytes);
			error |= mercury_tables_map(tables, MERCURY_IMAGE_BASE + from,
						    frame_physical(page), part->flags);
		}
	}
	return error;
}

static int map_cpu(struct preparation *preparation, struct mercury_tables *tables, unsigned int cpu)
{
	static const u8 page_slots[] = MERCURY_CPU_PAGE_SLOTS;
	u64 base = MERCURY_CPU_BASE + (u64)cpu * MERCURY_CPU_STRIDE;
	struct mercury_door *door = mercury_frame(&machine.lent, cpu_frame(preparation, cpu, 0));
	unsigned int page, ignored;
	int error = 0;

	/* Door and state, control blocks, save area; what a stack holds is no matter. */
	for (page = 0; page < 4; page++)
		mercury_clear(mercury_frame(&machine.lent, cpu_frame(preparation, cpu, page)));
	for (page = 0; page < MERCURY_CPU_PAGES; page++)
		error |= mercury_tables_map(tables, base + page_slots[page] * PAGE_SIZE,
					    frame_physical(cpu_frame(preparation, cpu, page)),
					    MERCURY_MAP_WRITE);
	error |= mercury_tables_leaf(tables, MERCURY_PEEK_BASE + (u64)cpu * PAGE_SIZE, &ignored);
	door->own = base;
	door->host_root = virt_to_phys(tables->root);
	door->host_entry = mercury_host_entry(preparation->image.header->entry, entry_physical(preparation));
	door->way_out = mercury_way_out();
	door->backend = mercury_backend_number();
	door->kernel = (u64)door;
	door->way_free = mercury_way_free();
	door->call_site = mercury_call_site_of();
	error |= mercury_prepare_cpu(door, tables);
	door->control_block = frame_physical(cpu_frame(preparation, cpu, 1));
	machine.doors[cpu] = door;
	return error;
}

/* The image's page tables. */
static int build_tables(struct preparation *preparation)
{
	struct mercury_tables tables;
	u64 shared, physical;
	unsigned int cpu, frame;
	int error;

	error = mercury_tables_begin(&tables, &machine.lent, preparation->first_table, machine.table_frames);
	if (error)
		return error;
	/* The peek tables first, so that they follow each other. */
	for (cpu = 0; cpu < machine.cpus + MERCURY_SIGHTS; cpu += 512) {
		error |= mercury_tables_leaf(&tables, MERCURY_PEEK_BASE + (u64)cpu * PAGE_SIZE, &frame);
		if (!cpu)
			preparation->peek_frame = frame;
	}
	error |= map_image(preparation, &tables);
	for (cpu = 0; cpu < machine.cpus; cpu++)
		error |= map_cpu(preparation, &tables, cpu);
	/* The image reaches the store through its slots for all memory. */
	for (frame = preparation->first_table; frame < machine.lent.frames - machine.store_frames; frame++)
		error |= mercury_tables_map(&tables, MERCURY_FRAME_BASE + (u64)frame * PAGE_SIZE,
					    frame_physical(frame), MERCURY_MAP_WRITE);
	shared = mercury_shared_page(entry_physical(preparation), &physical);
	error |= mercury_tables_map(&tables, shared, physical, MERCURY_MAP_EXECUTE);
	for (frame = 0; frame < machine.image_frames; frame++)
		mercury_publish(mercury_frame(&machine.lent, frame), PAGE_SIZE);
	return error;
}

static void fill_parameters(struct preparation *preparation)
{
	struct mercury_parameters *parameters = mercury_frame(&machine.lent, preparation->parameters_frame);
	unsigned int block, left = machine.lent.frames;

	mercury_clear(parameters);
	parameters->abi = MERCURY_DOOR_ABI;
	parameters->cpus_possible = machine.cpus;
	parameters->address_bits = preparation->facts.address_bits;
	parameters->image_frames = machine.image_frames;
	parameters->first_free = preparation->first_free;
	parameters->frame_count = machine.lent.frames;
	parameters->huge_leaves = preparation->facts.huge_leaves;
	parameters->levels = mercury_levels();
	parameters->proof_pages[0] = virt_to_phys(machine.lent.proof);
	parameters->proof_pages[1] = virt_to_phys(machine.lent.proof + PAGE_SIZE);
	parameters->peek_table_frame = preparation->peek_frame;
	parameters->mutant = mercury_mutant();
	parameters->store_frames = machine.store_frames;
	parameters->memory_end = machine.store_frames ? mercury_memory_end() : 0;
	parameters->crash_loop_ticks = machine.crash_loop_ticks;
	for (block = 0; block < machine.lent.block_count && left; block++) {
		unsigned int pages = min(machine.lent.blocks[block].pages, left);

		parameters->blocks[block].start = virt_to_phys(machine.lent.blocks[block].memory);
		parameters->blocks[block].pages = pages;
		left -= pages;
	}
	parameters->block_count = block;
}

/* One preparation call, on this CPU. 0, or an error number of the image. */
static u64 prepare_call(struct preparation *preparation, u64 operation, u64 first, u64 second, u64 third)
{
	struct mercury_visit *visit = &preparation->visit;

	if (mercury_inject(MERCURY_POINT_PREPARE, -1))
		return MERCURY_ERROR_INJECTED;
	visit->kind = MERCURY_VISIT_DOOR;
	visit->number = operation;
	visit->arguments[0] = first;
	visit->arguments[1] = second;
	visit->arguments[2] = third;
	mercury_visit_here(visit);
	mercury_sample(MERCURY_SAMPLE_PREPARE_BLACKOUT, raw_smp_processor_id(), visit->begin, visit->end);
	return visit->status;
}

static int map_resource(struct resource *resource, void *argument)
{
	struct preparation *preparation = argument;
	bool is_ram = resource_type(resource) == IORESOURCE_MEM && resource->flags & IORESOURCE_SYSRAM;
	u64 at = resource->start, end = resource->end + 1, error;

	/* In pieces, so that no piece keeps IRQs off for long. */
	while (at < end) {
		u64 piece = preparation->facts.huge_leaves ? 1ull << 42 : 1ull << 35;
		u64 stop = min(end, (at & ~(piece - 1)) + piece);

		error = prepare_call(preparation, MERCURY_OPERATION_MAP, at, stop, is_ram);
		if (error)
			return error;
		at = stop;
	}
	return 0;
}

/* Everything that the image builds. 0, or an error number of the image. */
static u64 prepare_image(struct preparation *preparation)
{
	u64 error = prepare_call(preparation, MERCURY_OPERATION_PREPARE, preparation->parameters_frame, 0, 0);

	if (!error)
		error = walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_MEM, 0, -1, preparation, map_resource);
	if (!error)
		error = prepare_call(preparation, MERCURY_OPERATION_PUNCH, 0, 0, 0);
	return error;
}

static void release(void)
{
	machine.image_runs = false;
	machine.dead = false;
	mercury_give_back(&machine.lent);
	kvfree(machine.doors);
	machine.doors = NULL;
}

/* Lends `free` frames for the nested map beside all else, and prepares. */
static int prepare_with(struct preparation *preparation, unsigned int free, u64 *image_error)
{
	unsigned int fixed = machine.image_frames + machine.cpus * MERCURY_CPU_PAGES, estimate;
	int error;

	*image_error = 0;
	estimate = mercury_tables_needed(machine.image_frames, machine.cpus, fixed + free + 64) +
		   mercury_more_tables(machine.cpus);
	machine.table_frames = estimate;
	preparation->first_table = fixed;
	preparation->parameters_frame = fixed + estimate;
	preparation->first_free = fixed + estimate + 1;
	error = mercury_lend(&machine.lent, preparation->first_free + free + machine.store_frames);
	if (error)
		return refuse(preparation, MERCURY_REQUIREMENT_MEMORY, ENOMEM,
			      (preparation->first_free + free + (u64)machine.store_frames) * PAGE_SIZE,
			      "bytes asked of the kernel");
	error = build_tables(preparation);
	if (error)
		return refuse(preparation, MERCURY_REQUIREMENT_PREPARE, ENOSPC, machine.table_frames,
			      "frames for the image's page tables");
	fill_parameters(preparation);
	machine.image_log_next = 1;
	machine.image_runs = true;
	/* The calls go through one CPU's door. */
	migrate_disable();
	*image_error = prepare_image(preparation);
	migrate_enable();
	if (*image_error && *image_error != MERCURY_ERROR_FRAMES_EXHAUSTED)
		mercury_drain_log();
	if (*image_error)
		return refuse(preparation, MERCURY_REQUIREMENT_PREPARE, EIO, *image_error,
			      "error of the image while it built its tables");
	mercury_note(MERCURY_EVENT_LENT, MERCURY_DETAIL, -1, machine.lent.frames, machine.lent.block_count,
		     machine.lent.largest_order, 0);
	return 0;
}

/* The smallest of what all CPUs can do. */
static int common_facts(struct preparation *preparation)
{
	struct mercury_visit *visit = &preparation->visit;
	int cpu, error = 0;

	preparation->facts.address_bits = 52;
	preparation->facts.huge_leaves = 1;
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		visit->kind = MERCURY_VISIT_FACTS;
		error = mercury_visit(cpu, visit);
		if (error) {
			mercury_verdict_set(preparation->refusal, MERCURY_REQUIREMENT_ARRIVAL, cpu, ETIMEDOUT,
					    MERCURY_DEADLINE_MS, "ms waited for the CPU");
			break;
		}
		preparation->facts.address_bits = min(preparation->facts.address_bits,
						      visit->facts.address_bits);
		preparation->facts.huge_leaves &= visit->facts.huge_leaves;
	}
	cpus_read_unlock();
	return error;
}

/* From nothing to parked. */
static int prepare(struct preparation *preparation)
{
	/* Each 2 MiB of the store are a table of the nested map. */
	unsigned int free = 32 + machine.store_frames / 256;
	u64 image_error = 0;
	int error;

	error = mercury_image_load(&preparation->image, preparation->refusal);
	if (error)
		return error;
	error = common_facts(preparation);
	if (error)
		return error;
	machine.cpus = nr_cpu_ids;
	machine.address_bits = preparation->facts.address_bits;
	machine.huge_leaves = preparation->facts.huge_leaves;
	machine.image_frames = preparation->image.frames;
	if (machine.cpus > MERCURY_MAX_CPUS)
		return refuse(preparation, MERCURY_REQUIREMENT_SUPPORTED, E2BIG, machine.cpus, "CPUs possible");
	/* How many tables the nested map needs, only building it tells. */
	do {
		machine.doors = kvcalloc(machine.cpus, sizeof(*machine.doors), GFP_KERNEL);
		if (!machine.doors || mercury_inject(MERCURY_POINT_ALLOC, -1))
			error = refuse(preparation, MERCURY_REQUIREMENT_MEMORY, ENOMEM,
				       machine.cpus * sizeof(*machine.doors), "bytes asked of the kernel");
		else
			error = prepare_with(preparation, free, &image_error);
		if (error)
			release();
		free *= 2;
	} while (error && image_error == MERCURY_ERROR_FRAMES_EXHAUSTED && free < 1 << 16);
	return error;
}

/* ---- the walk ---- */

struct stroll {
	struct mercury_visit visit;
	u64 begin, end;
	u64 status;
	bool timed_out;
	bool for_user;		/* who waits for it may think better of it */
};

static void stretch(struct stroll *stroll)
{
	if (!stroll->begin)
		stroll->begin = stroll->visit.begin;
	stroll->end = stroll->visit.end;
}

static int next_cpu(void *context, int cpu)
{
	unsigned int next = cpumask_next(cpu, cpu_online_mask);

	return next < nr_cpu_ids ? (int)next : -1;
}

static int enter_cpu(void *context, int cpu)
{
	struct stroll *stroll = context;
	struct mercury_visit *visit = &stroll->visit;
	int error;

	visit->kind = MERCURY_VISIT_DOOR;
	visit->number = MERCURY_OPERATION_ENTER;
	visit->arguments[0] = mercury_inject(MERCURY_POINT_ENTER, cpu) ? MERCURY_INJECT_REFUSE :
			      mercury_inject(MERCURY_POINT_ASID0, cpu) ? MERCURY_INJECT_ASID0 :
			      mercury_inject(MERCURY_POINT_DIE, cpu) ? MERCURY_INJECT_DIE : 0;
	error = mercury_visit(cpu, visit);
	stroll->timed_out = error == -ETIMEDOUT;
	if (stroll->timed_out)
		mercury_note(MERCURY_EVENT_ARRIVAL_LATE, MERCURY_ERROR, cpu, MERCURY_DEADLINE_MS, 0, 0, 0);
	if (error)
		return -error;
	stroll->status = visit->status;
	if (visit->status)
		return EIO;
	stretch(stroll);
	mercury_sample(MERCURY_SAMPLE_ATTACH_BLACKOUT, cpu, visit->begin, visit->end);
	return 0;
}

static int call_cpu(struct stroll *stroll, int cpu, u64 number, u64 argument)
{
	struct mercury_visit *visit = &stroll->visit;
	int error;

	visit->kind = MERCURY_VISIT_CALL;
	visit->number = number;
	visit->arguments[0] = argument;
	error = mercury_visit(cpu, visit);
	if (error)
		return error;
	if (number == MERCURY_CALL_DETACH && visit->status == MERCURY_CALL_CHANGED) {
		machine.changed_registers++;
		return 0;
	}
	/* ENXIO: nobody answered, the CPU is native. EIO: somebody refused. */
	return mercury_succeeded(visit->status) ? 0 : mercury_answered(visit->status) ? -EIO : -ENXIO;
}

static int leave_cpu(void *context, int cpu)
{
	struct stroll *stroll = context;
	int error = mercury_inject(MERCURY_POINT_STUCK, cpu) ? -ETIMEDOUT :
		    call_cpu(stroll, cpu, MERCURY_CALL_DETACH, 0);

	if (!error)
		mercury_sample(MERCURY_SAMPLE_UNDO_BLACKOUT, cpu, stroll->visit.begin, stroll->visit.end);
	/* ENXIO: it was native already. */
	return error == -ENXIO ? 0 : -error;
}

static int seal(void *context, int count)
{
	struct stroll *stroll = context;

	if (mercury_inject(MERCURY_POINT_SEAL, -1))
		return EIO;
	return -call_cpu(stroll, cpumask_first(cpu_online_mask), MERCURY_CALL_SEAL, count);
}

static int interrupted(void *context)
{
	struct stroll *stroll = context;

	return stroll->for_user && (signal_pending(current) || mercury_inject(MERCURY_POINT_SIGNAL, -1));
}

int mercury_switch_in(struct mercury_verdict *refusal, bool for_user)
{
	static const struct mercury_walk walk = { next_cpu, enter_cpu, leave_cpu, seal, interrupted };
	struct stroll *stroll = kzalloc(sizeof(*stroll), GFP_KERNEL);
	struct mercury_walk_result result;
	int error = 0;

	if (!stroll || mercury_inject(MERCURY_POINT_ALLOC, -1)) {
		kfree(stroll);
		mercury_verdict_set(refusal, MERCURY_REQUIREMENT_MEMORY, -1, ENOMEM, sizeof(*stroll), "bytes");
		return -ENOMEM;
	}
	stroll->for_user = for_user;
	cpus_read_lock();
	/* Nobody gets between two CPUs: the walk is over in microseconds. */
	preempt_disable();
	result = mercury_walk_in(&walk, stroll);
	preempt_enable();
	/* A CPU that could not be taken out again is a guest still. */
	if (result.stop == MERCURY_WALK_DONE || result.stuck)
		machine.stage = MERCURY_STAGE_ATTACHED;
	cpus_read_unlock();
	switch (result.stop) {
	case MERCURY_WALK_DONE:
		mercury_sample(MERCURY_SAMPLE_ATTACH_SWITCH, U32_MAX, stroll->begin, stroll->end);
		break;
	case MERCURY_WALK_ENTRY:
		error = -result.error;
		if (stroll->timed_out)
			mercury_verdict_set(refusal, MERCURY_REQUIREMENT_ARRIVAL, result.cpu, result.error,
					    MERCURY_DEADLINE_MS, "ms waited for the CPU");
		else if (stroll->status == MERCURY_ERROR_EXTENSION_TAKEN)
			mercury_verdict_set(refusal, MERCURY_REQUIREMENT_FREE, result.cpu, EBUSY,
					    stroll->status, MERCURY_TAKEN_BETWEEN);
		else
			mercury_verdict_set(refusal, MERCURY_REQUIREMENT_ENTRY, result.cpu, result.error,
					    stroll->status, "error of the image at the entry");
		error = -refusal->error;
		break;
	case MERCURY_WALK_SEAL:
		mercury_verdict_set(refusal, MERCURY_REQUIREMENT_SEAL, -1, result.error,
				    stroll->visit.status & 0xffff, "error of the image at the seal");
		error = -result.error;
		break;
	case MERCURY_WALK_INTERRUPTED:
		mercury_verdict_set(refusal, MERCURY_REQUIREMENT_UNINTERRUPTED, -1, EINTR, 0,
				    "signal before the seal");
		error = -EINTR;
		break;
	}
	if (result.stuck) {
		mercury_verdict_set(refusal, MERCURY_REQUIREMENT_ARRIVAL, -1, ETIMEDOUT, result.stuck,
				    "CPUs could not be taken out again; see status, then detach");
		error = -ETIMEDOUT;
	}
	kfree(stroll);
	return error;
}

/* Why CPUs are native while others, that did not come, are guests still. */
static void say_why(int error)
{
	int cpu;

	for_each_online_cpu(cpu)
		mercury_why_native(cpu, error ? MERCURY_EVENT_POWER_FAILED : 0);
}

int mercury_switch_out(void)
{
	struct stroll *stroll = kzalloc(sizeof(*stroll), GFP_KERNEL | __GFP_NOFAIL);
	int cpu, error = 0;

	cpus_read_lock();
	preempt_disable();
	for_each_online_cpu(cpu) {
		int one = mercury_inject(MERCURY_POINT_STUCK, cpu) ? -ETIMEDOUT :
			  call_cpu(stroll, cpu, MERCURY_CALL_DETACH, 0);

		if (!one) {
			stretch(stroll);
			mercury_sample(MERCURY_SAMPLE_DETACH_BLACKOUT, cpu, stroll->visit.begin,
				       stroll->visit.end);
		} else if (one != -ENXIO) {
			error = one;	/* ENXIO: it was native already */
		}
	}
	preempt_enable();
	say_why(error);
	if (!error)
		machine.stage = MERCURY_STAGE_PARKED;
	cpus_read_unlock();
	/* From a dead image nobody may have been left to go. */
	if (!error && stroll->begin)
		mercury_sample(MERCURY_SAMPLE_DETACH_SWITCH, U32_MAX, stroll->begin, stroll->end);
	kfree(stroll);
	return error;
}

bool mercury_is_guest(void)
{
	struct mercury_visit visit = { .kind = MERCURY_VISIT_CALL, .number = MERCURY_CALL_NULL };

	mercury_visit_here(&visit);
	return mercury_succeeded(visit.status);
}

u64 mercury_enter_here(void)
{
	struct mercury_visit visit = { .kind = MERCURY_VISIT_DOOR, .number = MERCURY_OPERATION_ENTER };

	if (mercury_inject(MERCURY_POINT_ENTER, raw_smp_processor_id()))
		visit.arguments[0] = MERCURY_INJECT_REFUSE;
	mercury_visit_here(&visit);
	return visit.status;
}

u64 mercury_leave_here(void)
{
	struct mercury_visit visit = { .kind = MERCURY_VISIT_CALL, .number = MERCURY_CALL_DETACH };

	mercury_visit_here(&visit);
	return visit.status;
}

/* ---- whole ---- */

/* Gives everything back. Every CPU is native. */
static void take_down(void)
{
	mercury_guard_end();
	mercury_hooks_clear();
	mercury_drain_log();
	release();
	machine.store_frames = 0;
	machine.stage = MERCURY_STAGE_NATIVE;
}

/* From native to parked: nothing of it stays if it fails. */
static int prepare_all(struct mercury_verdict *refusal)
{
	struct preparation *preparation;
	int error = mercury_preflight(refusal);

	if (error)
		return error;
	preparation = kzalloc(sizeof(*preparation), GFP_KERNEL);
	if (!preparation || mercury_inject(MERCURY_POINT_ALLOC, -1)) {
		kfree(preparation);
		mercury_verdict_set(refusal, MERCURY_REQUIREMENT_MEMORY, -1, ENOMEM, sizeof(*preparation), "bytes");
		return -ENOMEM;
	}
	preparation->refusal = refusal;
	error = prepare(preparation);
	kfree(preparation);
	return error;
}

/* From parked to attached. */
static int commit(struct mercury_verdict *refusal)
{
	int error = mercury_hooks_set();

	if (error) {
		mercury_verdict_set(refusal, MERCURY_REQUIREMENT_PREPARE, -1, -error, 0,
				    "hooks for hot-plug, suspend and reboot could not be set");
		return error;
	}
	error = mercury_switch_in(refusal, true);
	/* Attached, or a CPU that could not be taken out again needs all this. */
	if (machine.stage == MERCURY_STAGE_ATTACHED)
		__module_get(THIS_MODULE);
	return error;
}

int mercury_attach(u32 flags, struct mercury_verdict *refusal)
{
	u64 begin = mercury_ticks();
	int error;

	if (machine.stage != MERCURY_STAGE_NATIVE) {
		mercury_verdict_set(refusal, MERCURY_REQUIREMENT_NATIVE, -1, EALREADY, machine.stage,
				    machine.dead ? "stage: the hypervisor died; mercury detach, then attach" :
				    machine.stage == MERCURY_STAGE_PARKED ?
				    "stage: parked since a power event; mercury detach, then attach" :
				    "stage of the machine (0 native)");
		return -EALREADY;
	}
	mercury_note(MERCURY_EVENT_ATTACH_BEGINS, MERCURY_INFORMATION, -1, num_online_cpus(), nr_cpu_ids, 0, 0);
	error = prepare_all(refusal);
	if (error)
		return error;
	machine.stage = MERCURY_STAGE_PARKED;
	if (flags & MERCURY_ATTACH_DRY_RUN) {
		mercury_note(MERCURY_EVENT_DRY_RUN, MERCURY_INFORMATION, -1, 0, 0, 0, 0);
		take_down();
		return 0;
	}
	error = commit(refusal);
	if (machine.stage != MERCURY_STAGE_ATTACHED) {
		take_down();
		return error;
	}
	mercury_drain_log();
	if (error)
		return error;
	machine.attaches++;
	mercury_trace_begin();
	mercury_note(MERCURY_EVENT_ATTACH_DONE, MERCURY_INFORMATION, -1, num_online_cpus(), 0, 0, 0);
	mercury_sample(MERCURY_SAMPLE_ATTACH_CALL, U32_MAX, begin, mercury_ticks());
	return 0;
}

int mercury_detach(struct mercury_verdict *refusal)
{
	u64 begin = mercury_ticks();
	int error = 0;

	if (machine.stage == MERCURY_STAGE_NATIVE) {
		mercury_verdict_set(refusal, MERCURY_REQUIREMENT_ATTACHED, -1, ENOTCONN, machine.stage,
				    "stage of the machine (0 native)");
		return -ENOTCONN;
	}
	mercury_drain_log();
	if (machine.stage == MERCURY_STAGE_ATTACHED)
		error = mercury_switch_out();
	if (error) {
		mercury_verdict_set(refusal, MERCURY_REQUIREMENT_ARRIVAL, -1, -error, MERCURY_DEADLINE_MS,
				    error == -ETIMEDOUT ?
				    "ms waited for a CPU; see status for which is still a guest" :
				    "a CPU was not let go; see status and log");
		return error;
	}
	mercury_drain_log();
	if (machine.dead)
		mercury_note(MERCURY_EVENT_DEAD_DETACHED, MERCURY_WARNING, -1, machine.dead_cpu,
			     machine.dead_event, 0, 0);
	if (mercury_mutant_is("page_leak"))
		(void)__get_free_pages(GFP_KERNEL, 3);
	if (mercury_mutant_is("notifier_leak")) {
		release();
		machine.stage = MERCURY_STAGE_NATIVE;
	} else {
		take_down();
	}
	machine.detaches++;
	mercury_note(MERCURY_EVENT_DETACH_DONE, MERCURY_INFORMATION, -1, num_online_cpus(), 0, 0, 0);
	mercury_sample(MERCURY_SAMPLE_DETACH_CALL, U32_MAX, begin, mercury_ticks());
	module_put(THIS_MODULE);
	if (machine.changed_registers) {
		mercury_verdict_set(refusal, MERCURY_REQUIREMENT_ENTRY, -1, EBADMSG, machine.changed_registers,
				    "CPUs came back with other registers than they left with");
		machine.changed_registers = 0;
		return -EBADMSG;
	}
	return 0;
}
