// SPDX-License-Identifier: GPL-2.0
/*
 * Touching Mercury's frames in every way that a kernel might.
 *
 * Each store is one entry of a table. It is executed on the CPU asked for,
 * interrupts off, covered by the exception table, and answers what happened:
 * the trap (-1: none), whether the next instruction found the registers as a
 * store leaves them, what the frame reads as afterwards, and what became of
 * the two pages of our own between which the frame is mapped for the stores
 * that run across its edges.
 *
 * The frames are reached as Linux would reach them: through the direct map,
 * and through a mapping made with vmap.
 */
#include <linux/io.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "arch.h"
#include "fault.h"
#include "mercury_test.h"

#define FILL 0x5a
#define PATTERN 0xf7e6d5c4b3a29180ull

struct job {
	const char *name;
	u8 *frame;	/* in the direct map */
	u8 *window;	/* own page, frame, own page */
	long trap;
	bool right;	/* registers and flags as the instruction must leave them */
	bool known;
};

/* One instruction on 8 bytes at `p`; RAX keeps the trap. */
#define STORE(job, instruction, ...)                                           \
	asm volatile("1:	" instruction "\n"                            \
		     "2:\n"                                                    \
		     _ASM_EXTABLE_FAULT(1b, 2b)                                \
		     : "+a"((job)->trap)                                       \
		     : [p] "r"((job)->frame + 64), ##__VA_ARGS__               \
		     : "memory", "cc")

static void mov_immediate(struct job *job)
{
	u8 carry;

	/*
	 * The immediate is an instruction of its own (STC): if the hypervisor
	 * went on one byte short, the carry would be set and nothing worse.
	 */
	asm volatile("	clc\n"
		     "1:	movb	$0xf9, (%[p])\n"
		     "2:	setc	%[carry]\n"
		     _ASM_EXTABLE_FAULT(1b, 2b)
		     : "+a"(job->trap), [carry] "=&q"(carry)
		     : [p] "r"(job->frame + 64)
		     : "memory", "cc");
	job->right = !carry;
}

static void mov1(struct job *job) { STORE(job, "movb %b[v], (%[p])", [v] "q"(PATTERN)); }
static void mov2(struct job *job) { STORE(job, "movw %w[v], (%[p])", [v] "r"(PATTERN)); }
static void mov4(struct job *job) { STORE(job, "movl %k[v], (%[p])", [v] "r"(PATTERN)); }
static void mov8(struct job *job) { STORE(job, "movq %[v], (%[p])", [v] "r"(PATTERN)); }

/* SIB, a displacement of 4 bytes, an immediate. */
static void mov_indexed(struct job *job)
{
	STORE(job, "movl $0x12345678, 0x100(%[p],%[i],4)", [i] "r"(3L));
}

static void movnti(struct job *job) { STORE(job, "movnti %[v], (%[p])", [v] "r"(PATTERN)); }

/* Whatever the vector register holds: storing it changes nothing. */
static void movdqa(struct job *job) { STORE(job, "movdqa %%xmm0, (%[p])"); }
static void movups(struct job *job) { STORE(job, "movups %%xmm9, 3(%[p])"); }

static void two_pages(struct job *job)
{
	job->trap = straddling_store(job->frame + 128, PATTERN);
}

/* REP STOS and REP MOVS: pointers must have moved on, the counter be spent. */
static void strings(struct job *job, u8 *to, const u8 *from, unsigned long count, int step)
{
	u8 *rdi = to;
	const u8 *rsi = from;
	unsigned long rcx = count;
	long trap = NO_TRAP;

	/* RAX is what STOS stores, so the trap's number is sorted out after. */
#define REPEAT(instruction)                                                    \
	asm volatile("1:	" instruction "\n"                            \
		     "2:\n"                                                    \
		     _ASM_EXTABLE_FAULT(1b, 2b)                                \
		     : "+D"(rdi), "+S"(rsi), "+c"(rcx), "+a"(trap)             \
		     : : "memory", "cc")
	if (from)
		REPEAT("rep movsq");
	else if (step == 1)
		REPEAT("rep stosb");
	else if (step == 8)
		REPEAT("rep stosq");
	else
		asm volatile("	std\n"
			     "1:	rep stosq\n"
			     "2:	cld\n"
			     _ASM_EXTABLE_FAULT(1b, 2b)
			     : "+D"(rdi), "+S"(rsi), "+c"(rcx), "+a"(trap)
			     : : "memory", "cc");
	job->trap = trap;
	job->right = !rcx && rdi == to + (long)count * step &&
		     (!from || rsi == from + count * step);
}

static void stosb(struct job *job) { strings(job, job->frame + 5, NULL, 100, 1); }
static void stosq(struct job *job) { strings(job, job->frame, NULL, PAGE_SIZE / 8, 8); }
static void stosq_down(struct job *job) { strings(job, job->frame + 2048, NULL, 64, -8); }
/* From the last 16 bytes of our page over the frame to the first 16 of the other. */
static void stosb_across(struct job *job)
{
	strings(job, job->window + PAGE_SIZE - 16, NULL, PAGE_SIZE + 32, 1);
}

static void movsq_in(struct job *job)
{
	strings(job, job->frame + 512, job->window, 32, 8);
}

/* Reading: our page must hold zeros afterwards. */
static void movsq_out(struct job *job)
{
	strings(job, job->window, job->frame + 512, 32, 8);
	job->right = job->right && !memchr_inv(job->window, 0, 32 * 8);
}

/* 4 bytes on our page, 4 on the frame. */
static void mov_across(struct job *job)
{
	asm volatile("1:	movq	%[v], (%[p])\n"
		     "2:\n"
		     _ASM_EXTABLE_FAULT(1b, 2b)
		     : "+a"(job->trap)
		     : [p] "r"(job->window + PAGE_SIZE - 4), [v] "r"(PATTERN)
		     : "memory");
}

/* What cannot simply be dropped: the program would go on with a lie. */
static void lock_inc(struct job *job) { STORE(job, "lock; incq (%[p])"); }
static void lock_bts(struct job *job) { STORE(job, "lock; btsq $3, (%[p])"); }
static void add(struct job *job) { STORE(job, "addq $1, (%[p])"); }

static void exchange(struct job *job)
{
	u64 value = PATTERN;

	asm volatile("1:	xchgq	%[v], (%[p])\n"
		     "2:\n"
		     _ASM_EXTABLE_FAULT(1b, 2b)
		     : "+a"(job->trap), [v] "+r"(value)
		     : [p] "r"(job->frame + 64)
		     : "memory");
	job->right = value == PATTERN;
}

static void compare_exchange(struct job *job)
{
	STORE(job, "lock; cmpxchgq %[v], (%[p])", [v] "r"(PATTERN));
}

static const struct {
	const char *name;
	void (*run)(struct job *job);
} stores[] = {
	{ "mov_immediate", mov_immediate },
	{ "mov1", mov1 }, { "mov2", mov2 }, { "mov4", mov4 }, { "mov8", mov8 },
	{ "mov_indexed", mov_indexed }, { "movnti", movnti },
	{ "movdqa", movdqa }, { "movups", movups }, { "two_pages", two_pages },
	{ "stosb", stosb }, { "stosq", stosq }, { "stosq_down", stosq_down },
	{ "stosb_across", stosb_across }, { "mov_across", mov_across },
	{ "movsq_in", movsq_in }, { "movsq_out", movsq_out },
	{ "lock_inc", lock_inc }, { "lock_bts", lock_bts }, { "xchg", exchange },
	{ "cmpxchg", compare_exchange }, { "add", add },
};

static void execute(void *data)
{
	struct job *job = data;
	int index;

	for (index = 0; index < ARRAY_SIZE(stores); index++)
		if (!strcmp(job->name, stores[index].name)) {
			job->known = true;
			job->right = true;
			stores[index].run(job);
		}
	/* "read": nothing but the look that every job gets. */
	if (!strcmp(job->name, "read"))
		job->known = job->right = true;
}

/* The frame that our mapping of it ends up with, seen from the CPU asked for. */
struct look {
	const u8 *frame;
	bool zero;
};

static void look_at(void *data)
{
	struct look *look = data;

	look->zero = !memchr_inv(look->frame, 0, PAGE_SIZE);
}

static bool filled(const u8 *from, size_t size)
{
	return !memchr_inv(from, FILL, size);
}

int command_hole(const char *words, struct answer *answer)
{
	struct job job = { .trap = NO_TRAP };
	struct look look;
	struct page *pages[3] = {};
	unsigned long long address;
	char name[24];
	int cpu, error = -ENOMEM;
	u8 *left, *right;

	if (sscanf(words, "%d %llx %23s", &cpu, &address, name) != 3)
		return -EINVAL;
	if (!pfn_valid(address >> PAGE_SHIFT))
		return -ENXIO;
	pages[0] = alloc_page(GFP_KERNEL);
	pages[1] = pfn_to_page(address >> PAGE_SHIFT);
	pages[2] = alloc_page(GFP_KERNEL);
	if (!pages[0] || !pages[2])
		goto out;
	left = page_address(pages[0]);
	right = page_address(pages[2]);
	memset(left, FILL, PAGE_SIZE);
	memset(right, FILL, PAGE_SIZE);
	job.name = name;
	job.frame = __va(address & PAGE_MASK);
	job.window = vmap(pages, 3, VM_MAP, PAGE_KERNEL);
	if (!job.window)
		goto out;
	look.frame = job.frame;
	error = on_cpu(cpu, execute, &job);
	if (!error)
		error = on_cpu(cpu, look_at, &look);
	vunmap(job.window);
	if (!error && !job.known)
		error = -EINVAL;
	if (error)
		goto out;
	/* STOS stored the low byte(s) of what RAX held then: -1. */
	answer_add(answer, "trap %ld\nright %d\nzero %d\nleft %d\nright_page %d\n",
		   job.trap, job.right, look.zero,
		   filled(left, PAGE_SIZE - 16) && !memchr_inv(left + PAGE_SIZE - 16, 0xff, 16) ? 2 :
		   filled(left, PAGE_SIZE) ? 1 : 0,
		   filled(right + 16, PAGE_SIZE - 16) && !memchr_inv(right, 0xff, 16) ? 2 :
		   filled(right, PAGE_SIZE) ? 1 : 0);
out:
	if (pages[0])
		__free_page(pages[0]);
	if (pages[2])
		__free_page(pages[2]);
	return error;
}
