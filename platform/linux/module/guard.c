// SPDX-License-Identifier: GPL-2.0
/*
 * Checkpoint and roll-back: the kernel's side.
 *
 * A checkpoint is taken at the quiet point of Linux's own way to sleep: user space
 * frozen, every device suspended by its driver, one CPU, IRQs off. The module takes
 * the slot of suspend operations for the time of one checkpoint and gives it back to
 * its owner (slot.h); then it asks for a suspend to memory, whose `enter` marks the
 * pages in use and makes the hypercall that returns twice. Either way Linux wakes up
 * by itself: drivers set their devices up anew, which is just what a roll-back needs.
 *
 * All of this module is rolled back with the rest of the kernel. What it knows of the
 * store it asks the image for, each time.
 *
 * A panic comes here first (panic notifier): it hands the kernel's log over and asks
 * for the roll-back. If that is not to be had, the panic goes on as it would have.
 */
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/kmsg_dump.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/panic_notifier.h>
#include <linux/poison.h>
#include <linux/slab.h>
#include <linux/suspend.h>

#include "mercury.h"
#include "resting.h"

#define STORY_PAGES 16
#define MOST_RANGES 128

/* What one checkpoint works with; allocated before the machine comes to rest. */
struct rest {
	u64 *marks;		/* one page: a bit for each of 32768 pages */
	u64 end;		/* first page behind all memory */
	unsigned int range_count;
	struct { u64 first, end; } ranges[MOST_RANGES];	/* of memory, in pages */
	u64 status;		/* of the hypercall */
	u64 words[MERCURY_CALL_WORDS];
	bool reached;		/* the quiet point */
};

static struct rest *resting;
static void *story[STORY_PAGES];
static bool guarded;

bool mercury_resting(void)
{
	return READ_ONCE(resting);
}

/* ---- which pages are in use ---- */

static int note_range(struct resource *resource, void *argument)
{
	struct rest *rest = argument;

	if (rest->range_count == MOST_RANGES)
		return -E2BIG;
	rest->ranges[rest->range_count].first = PFN_UP(resource->start);
	rest->ranges[rest->range_count].end = PFN_DOWN(resource->end + 1);
	rest->end = max(rest->end, rest->ranges[rest->range_count].end);
	rest->range_count++;
	return 0;
}

static int note_end(struct resource *resource, void *argument)
{
	u64 *end = argument;

	*end = max_t(u64, *end, PFN_DOWN(resource->end + 1));
	return 0;
}

/* First page behind all memory. */
u64 mercury_memory_end(void)
{
	u64 end = 0;

	walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, 0, -1, &end, note_end);
	return end;
}

static void mark(u64 *marks, u64 first, u64 page, bool used)
{
	if (page < first || page >= first + MERCURY_MARKED)
		return;
	if (used)
		__set_bit(page - first, (unsigned long *)marks);
	else
		__clear_bit(page - first, (unsigned long *)marks);
}

/*
 * The pages from `first` on. Nobody allocates or frees meanwhile: either one CPU runs
 * with its IRQs off, or the result is an estimate. A page on a CPU's own list of free
 * ones counts as used.
 */
static void mark_used(struct rest *rest, u64 first)
{
	const struct mercury_lent *lent = &mercury_machine.lent;
	unsigned int range, block;
	u64 page;

	memset(rest->marks, 0, PAGE_SIZE);
	for (range = 0; range < rest->range_count; range++) {
		u64 end = min(rest->ranges[range].end, first + MERCURY_MARKED);

		for (page = max(rest->ranges[range].first, first); page < end;) {
			struct page *what = pfn_to_online_page(page);

			if (what && PageBuddy(what)) {
				page += 1ull << min_t(unsigned long, page_private(what), 20);
				continue;
			}
			if (what)
				mark(rest->marks, first, page, true);
			page++;
		}
	}
	for (block = 0; block < lent->block_count; block++) {
		u64 at = PHYS_PFN(virt_to_phys(lent->blocks[block].memory));
		u64 end = at + lent->blocks[block].pages;

		/* The proof pages are the module's own, and always the same. */
		for (page = max(at, first); page < min(end, first + MERCURY_MARKED); page++)
			mark(rest->marks, first, page, false);
	}
}

/*
 * After a roll-back a page that was free at the checkpoint holds whatever it came to
 * hold. A kernel that clears or poisons pages when it frees them relies on it that they
 * still are when it hands them out.
 */
static void refill_free(const struct rest *rest)
{
	int filling = page_poisoning_enabled_static() ? PAGE_POISON : 0;
	unsigned int range;
	u64 page;

	if (!want_init_on_free() && !page_poisoning_enabled_static())
		return;
	for (range = 0; range < rest->range_count; range++)
		for (page = rest->ranges[range].first; page < rest->ranges[range].end;) {
			struct page *what = pfn_to_online_page(page);
			u64 pages = 1;

			if (what && PageBuddy(what)) {
				pages <<= min_t(unsigned long, page_private(what), 20);
				memset(page_address(what), filling, pages * PAGE_SIZE);
			}
			page += pages;
		}
}

/* A crash kernel waits in memory that is not this kernel's. */
static int leave_out(struct resource *resource, void *argument)
{
	struct rest *rest = argument;
	unsigned int range, count = rest->range_count;
	u64 first = PFN_DOWN(resource->start), end = PFN_UP(resource->end + 1);

	for (range = 0; range < count; range++) {
		if (end <= rest->ranges[range].first || first >= rest->ranges[range].end)
			continue;
		if (rest->range_count == MOST_RANGES)
			return -E2BIG;
		rest->ranges[rest->range_count].first = end;
		rest->ranges[rest->range_count].end = max(end, rest->ranges[range].end);
		rest->range_count++;
		rest->ranges[range].end = max(first, rest->ranges[range].first);
	}
	return 0;
}

static struct rest *begin_rest(void)
{
	struct rest *rest = kzalloc(sizeof(*rest), GFP_KERNEL);

	if (!rest)
		return NULL;
	rest->marks = (u64 *)get_zeroed_page(GFP_KERNEL);
	if (!rest->marks ||
	    walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, 0, -1, rest, note_range) < 0 ||
	    walk_iomem_res_desc(IORES_DESC_CRASH_KERNEL, IORESOURCE_MEM | IORESOURCE_BUSY, 0, -1, rest, leave_out) == -E2BIG) {
		free_page((unsigned long)rest->marks);
		kfree(rest);
		return NULL;
	}
	return rest;
}

static void end_rest(struct rest *rest)
{
	free_page((unsigned long)rest->marks);
	kfree(rest);
}

/* How many pages a checkpoint would keep now. */
u64 mercury_pages_used(void)
{
	struct rest *rest = begin_rest();
	u64 first, count = 0;

	if (!rest)
		return 0;
	for (first = 0; first < rest->end; first += MERCURY_MARKED) {
		mark_used(rest, first);
		count += bitmap_weight((unsigned long *)rest->marks, MERCURY_MARKED);
		cond_resched();
	}
	end_rest(rest);
	return count;
}

/*
 * Frames of a store for what is in use now, an eighth more, and what the image keeps
 * beside: marks, sums, the record.
 */
u64 mercury_store_needed(void)
{
	u64 used = mercury_pages_used();

	used += used / 8;
	return used + used / 512 + mercury_memory_end() / MERCURY_MARKED + nr_cpu_ids / 16 + 64;
}

u64 mercury_crash_loop_ticks(u64 milliseconds)
{
	u64 ticks;

	return check_mul_overflow(milliseconds, (u64)mercury_ticks_per_millisecond(), &ticks) ? U64_MAX : ticks;
}

/* ---- the quiet point ---- */

static int valid(suspend_state_t state)
{
	return state == PM_SUSPEND_MEM;
}

/* A drive that may keep its queues over a sleep must not: after a roll-back they would be out of step. */
static int begin(suspend_state_t state)
{
	pm_set_suspend_via_firmware();
	return 0;
}

/* Returns twice. */
static int enter(suspend_state_t state)
{
	struct rest *rest = resting;
	u64 first, number;

	rest->reached = true;
	mercury_registers_begin();
	for (first = number = 0; first < rest->end; first += MERCURY_MARKED, number++) {
		mark_used(rest, first);
		rest->status = mercury_call(MERCURY_CALL_BASE | MERCURY_CALL_MARK,
					    virt_to_phys(rest->marks) | number, rest->words);
		if (!mercury_succeeded(rest->status))
			break;
	}
	if (mercury_succeeded(rest->status))
		rest->status = mercury_call(MERCURY_CALL_BASE | MERCURY_CALL_CHECKPOINT, 0, rest->words);
	if (mercury_succeeded(rest->status) && rest->words[0])
		refill_free(rest);
	mercury_registers_end();
	return mercury_succeeded(rest->status) ? 0 : -EIO;
}

static const struct platform_suspend_ops own_operations = {
	.valid = valid,
	.begin = begin,
	.enter = enter,
};

/* ---- requests; a switch is under way, and the machine's lock is not held ---- */

static int refuse(struct mercury_verdict *refusal, u32 requirement, int error, u64 read, const char *detail)
{
	mercury_verdict_set(refusal, requirement, -1, error, read, detail);
	return -error;
}

/* What the image says about the store; false: there is none. */
bool mercury_guard_words(u64 words[MERCURY_CALL_WORDS])
{
	struct mercury_visit visit = { .kind = MERCURY_VISIT_CALL, .number = MERCURY_CALL_GUARDED };

	if (mercury_machine.stage != MERCURY_STAGE_ATTACHED || !mercury_machine.store_frames)
		return false;
	mercury_visit_here(&visit);
	memcpy(words, visit.words, sizeof(visit.words));
	return mercury_succeeded(visit.status);
}

/* What has been kept is of no use any more. */
void mercury_give_up(void)
{
	struct mercury_visit visit = { .kind = MERCURY_VISIT_CALL, .number = MERCURY_CALL_GIVE_UP };

	mercury_visit_here(&visit);
}

int mercury_checkpoint(struct mercury_checkpoint *checkpoint)
{
	struct mercury_verdict *refusal = &checkpoint->refusal;
	const struct platform_suspend_ops **slot, *owner;
	struct rest *rest;
	u64 words[MERCURY_CALL_WORDS];
	int error;

	if (!mercury_guard_words(words))
		return refuse(refusal, MERCURY_REQUIREMENT_GUARDED, ENOTCONN, 0, "no store: mercury guard on");
	if (num_online_cpus() != num_present_cpus())
		return refuse(refusal, MERCURY_REQUIREMENT_QUIET, EBUSY, num_online_cpus(),
			      "CPUs online; a checkpoint wants all that are present");
	slot = mercury_suspend_slot();
	if (!slot)
		return refuse(refusal, MERCURY_REQUIREMENT_QUIET, EOPNOTSUPP, 0,
			      "the slot of suspend operations was not found in this kernel");
	rest = begin_rest();
	if (!rest)
		return refuse(refusal, MERCURY_REQUIREMENT_MEMORY, ENOMEM, sizeof(*rest), "bytes");
	owner = READ_ONCE(*slot);
	suspend_set_ops(&own_operations);
	if (READ_ONCE(*slot) != &own_operations) {
		suspend_set_ops(owner);
		end_rest(rest);
		return refuse(refusal, MERCURY_REQUIREMENT_QUIET, EOPNOTSUPP, 0,
			      "the slot of suspend operations was not found in this kernel");
	}
	WRITE_ONCE(resting, rest);
	error = pm_suspend(PM_SUSPEND_MEM);
	WRITE_ONCE(resting, NULL);
	suspend_set_ops(owner);
	mercury_drain_log();
	if (error && !rest->reached)
		refuse(refusal, MERCURY_REQUIREMENT_QUIET, -error, -error,
		       "error of Linux's way to sleep; dmesg names the device or process");
	else if (error)
		error = refuse(refusal, MERCURY_REQUIREMENT_CHECKPOINT,
			       (rest->status & 0xffff) == MERCURY_ERROR_STORE_TOO_SMALL ? ENOSPC : EIO,
			       rest->status & 0xffff, "error of the image; mercury log has the figures");
	checkpoint->rolled_back = rest->words[0];
	if (!error && mercury_guard_words(words)) {
		checkpoint->number = words[0];
		checkpoint->kept = words[2];
	}
	end_rest(rest);
	return error;
}

int mercury_rollback(struct mercury_verdict *refusal)
{
	struct mercury_visit visit = {
		.kind = MERCURY_VISIT_CALL, .number = MERCURY_CALL_ROLL_BACK,
		.arguments = { MERCURY_CAUSE_ASKED },
	};
	u64 words[MERCURY_CALL_WORDS];

	if (!mercury_guard_words(words) || !words[2])
		return refuse(refusal, MERCURY_REQUIREMENT_CHECKPOINT, ENOTCONN, MERCURY_ERROR_NO_CHECKPOINT,
			      "error of the image; take one first: mercury checkpoint");
	mercury_visit_here(&visit);
	/* It did not go back. */
	mercury_drain_log();
	return refuse(refusal, MERCURY_REQUIREMENT_CHECKPOINT, EIO, visit.status & 0xffff,
		      "error of the image; mercury log has more");
}

/* ---- panic ---- */

static u64 tell_story(void)
{
	u64 words[MERCURY_CALL_WORDS];
	struct kmsg_dump_iter iter;
	unsigned int page;
	size_t length = 0;
	u64 told = 0;

	kmsg_dump_rewind(&iter);
	/* The last part that fits. */
	if (!kmsg_dump_get_buffer(&iter, true, story[0], STORY_PAGES * PAGE_SIZE, &length))
		return 0;
	for (page = 0; page < STORY_PAGES && told < length; page++, told += PAGE_SIZE)
		if (!mercury_succeeded(mercury_call(MERCURY_CALL_BASE | MERCURY_CALL_TELL,
						    virt_to_phys(story[page]) | page, words)))
			return told;
	return min_t(u64, told, length);
}

static int panic_callback(struct notifier_block *block, unsigned long event, void *data)
{
	u64 words[MERCURY_CALL_WORDS], status;

	if (!mercury_succeeded(mercury_call(MERCURY_CALL_BASE | MERCURY_CALL_GUARDED, 0, words)) || !words[2])
		return NOTIFY_DONE;
	pr_emerg("mercury: rolling back to checkpoint %llu\n", words[0]);
	status = mercury_call(MERCURY_CALL_BASE | MERCURY_CALL_ROLL_BACK,
			      MERCURY_CAUSE_PANIC | tell_story() << 8, words);
	pr_emerg("mercury: no roll-back, error %llu of the image\n", status & 0xffff);
	return NOTIFY_DONE;
}

static struct notifier_block panic_block = { .notifier_call = panic_callback, .priority = INT_MAX };

/* ---- with a store ---- */

int mercury_guard_begin(void)
{
	unsigned int page;

	story[0] = alloc_pages_exact(STORY_PAGES * PAGE_SIZE, GFP_KERNEL);
	if (!story[0])
		return -ENOMEM;
	for (page = 1; page < STORY_PAGES; page++)
		story[page] = story[0] + page * PAGE_SIZE;
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
	guarded = true;
	return 0;
}

void mercury_guard_end(void)
{
	if (!guarded)
		return;
	guarded = false;
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_block);
	free_pages_exact(story[0], STORY_PAGES * PAGE_SIZE);
}

int mercury_retell(u64 from, u64 words[MERCURY_CALL_WORDS])
{
	struct mercury_visit visit = {
		.kind = MERCURY_VISIT_CALL, .number = MERCURY_CALL_RETELL, .arguments = { from },
	};

	mercury_visit_here(&visit);
	memcpy(words, visit.words, sizeof(visit.words));
	return mercury_succeeded(visit.status) ? 0 : -ENOTCONN;
}
