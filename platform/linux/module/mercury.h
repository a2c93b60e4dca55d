/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mercury.ko: what its files know of each other.
 *
 *   main.c     the device, its ioctls, the module's life
 *   facts.c    whether the CPUs and the kernel will do
 *   image.c    the hypervisor's image: found, checked, kept
 *   lend.c     frames lent by the kernel, numbered through
 *   tables.c   the image's own page tables
 *   visit.c    doing something on one CPU with IRQs off, with a deadline
 *   switch.c   attach and detach
 *   hooks.c    hot-plug, suspend, reboot, the rope
 *   report.c   status, log, samples, proofs
 *   trace.c    exits in the log, while somebody wants them
 *   guard.c    checkpoint and roll-back
 *   testing.c  builds for tests: failures and defects on purpose
 *
 * and in a folder for each architecture, x86 and arm64:
 *
 *   arch.h     clock, entries of the image's tables, caches
 *   rules.h    what a CPU must be (preflight.h)
 *   cpu.c      what a CPU is, and what is noted of it at the door
 *   door.S     the door itself, and hypercalls
 *   resting.h  what a checkpoint asks of it
 *
 * and for Intel VMX:
 *
 *   x86/door_vmx.S, pad.c, mercury_pad.h   its door, and where NMIs land meanwhile
 *   x86/trampoline.h   what both doors have alike
 */
#ifndef MERCURY_H
#define MERCURY_H

#include <linux/types.h>
#include <linux/mutex.h>
#include <linux/smp.h>

#include "mercury_abi.h"
#include "mercury_door.h"
#include "arch.h"
#include "preflight.h"
#include "testing.h"

#define MERCURY_IMAGE_NAME "mercury/mercury-" MERCURY_ARCHITECTURE ".img"
#define MERCURY_DEADLINE_MS 5000

/* ---- lend.c ---- */
struct mercury_lent {
	unsigned int block_count;
	unsigned int frames;
	struct {
		void *memory;		/* kernel virtual */
		unsigned int pages;
	} blocks[MERCURY_MAX_BLOCKS];
	void *proof;			/* two pages behind the last block, not lent */
	unsigned int largest_order;
};

int mercury_lend(struct mercury_lent *lent, unsigned int frames);
void mercury_give_back(struct mercury_lent *lent);
void *mercury_frame(const struct mercury_lent *lent, unsigned int number);

/* ---- image.c ---- */
struct mercury_image {
	const struct mercury_image_header *header;	/* the file begins with it */
	size_t bytes;			/* of the file */
	unsigned int frames;		/* of the image in memory */
};

int mercury_image_load(struct mercury_image *image, struct mercury_verdict *verdict);
void mercury_image_init(void);
void mercury_image_exit(void);

/* ---- tables.c ---- */
struct mercury_tables {
	struct mercury_lent *lent;
	unsigned int next, end;		/* frames for tables */
	unsigned int levels;
	u64 *root;
};

#define MERCURY_MAP_WRITE 1u
#define MERCURY_MAP_EXECUTE 2u

unsigned int mercury_tables_needed(unsigned int image_frames, unsigned int cpus, unsigned int frames);
int mercury_tables_begin(struct mercury_tables *tables, struct mercury_lent *lent,
			 unsigned int first, unsigned int count);
int mercury_tables_map(struct mercury_tables *tables, u64 virtual, u64 physical, unsigned int flags);
/* The last table over this address, made if need be; its frame's number. */
int mercury_tables_leaf(struct mercury_tables *tables, u64 virtual, unsigned int *frame);

/* ---- cpu.c ---- */
void mercury_facts_read(struct mercury_facts *facts);	/* on this CPU */
const char *mercury_backend(void);	/* "" if a hypercall must not even be tried */
void mercury_backend_choose(void);	/* when the module is loaded */
void mercury_note_cpu(struct mercury_door *door);
int mercury_prepare_cpu(struct mercury_door *door, struct mercury_tables *tables);
unsigned long mercury_disarm(void);
void mercury_arm(unsigned long disarmed);

/* ---- facts.c ---- */
bool mercury_fits(void);	/* this CPU, by hot-plug */
int mercury_preflight(struct mercury_verdict *first_failure);
unsigned int mercury_check(struct mercury_verdict *verdicts, unsigned int capacity, unsigned int *failed);
void mercury_verdict_set(struct mercury_verdict *verdict, u32 requirement, s32 cpu, int error,
			 u64 read, const char *detail);

/* ---- visit.c ---- */
enum mercury_visit_kind {
	MERCURY_VISIT_FACTS,
	MERCURY_VISIT_DOOR,	/* operation through the door, natively */
	MERCURY_VISIT_CALL,	/* hypercall */
	MERCURY_VISIT_PROOF,
	MERCURY_VISIT_NULL_CALLS,
};

struct mercury_visit {
	enum mercury_visit_kind kind;
	u64 number;		/* operation or hypercall */
	u64 arguments[4];
	/* results */
	u64 status;		/* of the door call or hypercall */
	u64 words[MERCURY_CALL_WORDS];
	u64 begin, end;		/* TSC around it, IRQs off */
	struct mercury_facts facts;
	struct mercury_proof proof;
};

int mercury_visit(int cpu, struct mercury_visit *visit);	/* 0, -ETIMEDOUT, -ENXIO */
void mercury_visit_here(struct mercury_visit *visit);		/* IRQs are off already, or not: both fine */
static inline bool mercury_answered(u64 status)
{
	return (status & ~0xffffull) == MERCURY_CALL_BASE;
}
static inline bool mercury_succeeded(u64 status)
{
	return status == MERCURY_CALL_BASE;
}

/* ---- switch.c ---- */
enum mercury_stage {
	MERCURY_STAGE_NATIVE,	/* nothing is held */
	MERCURY_STAGE_ATTACHED,	/* sealed; CPUs are guests, unless the image died since */
	MERCURY_STAGE_PARKED,	/* prepared, CPUs native: asleep, or going down */
};

struct mercury_machine {
	struct mutex lock;	/* one switch at a time */
	enum mercury_stage stage;
	struct mercury_lent lent;
	struct mercury_door **doors;	/* by CPU, kernel virtual */
	unsigned int cpus;
	unsigned int image_frames, table_frames;
	u64 crash_loop_ticks;	/* of the store */
	unsigned int store_frames;	/* the last of those that are lent; 0: no checkpoints */
	u64 address_bits, huge_leaves;	/* that the nested map was built for */
	u64 kept_bytes;		/* of the image's file, from its first acceptance on */
	unsigned int changed_registers;	/* test build: mercury_call_guarded */
	bool image_runs;		/* its tables are built: the door is open */
	bool dead;			/* the image said that it died: nobody goes in any more */
	unsigned int dead_cpu, dead_event;	/* where, and the record that says of what */
	unsigned int notifiers, hotplug_states;
	u64 attaches, detaches, refusals;
	u64 image_log_next;
};

extern struct mercury_machine mercury_machine;

int mercury_attach(u32 flags, struct mercury_verdict *refusal);
int mercury_detach(struct mercury_verdict *refusal);
int mercury_switch_in(struct mercury_verdict *refusal, bool for_user);	/* from parked */
int mercury_switch_out(void);				/* to parked */
bool mercury_is_guest(void);				/* this CPU, by hot-plug */
u64 mercury_enter_here(void);				/* this CPU, by hot-plug */
u64 mercury_leave_here(void);

/* ---- hooks.c ---- */
/* One switch at a time, whoever makes it; false: another one is under way. */
bool mercury_switching_begin(void);
void mercury_switching_end(void);
bool mercury_is_switching(void);
/* Around a switch: the machine neither sleeps nor reboots meanwhile. */
unsigned int mercury_no_sleep(void);
void mercury_sleep_again(unsigned int flags);
int mercury_hooks_set(void);
void mercury_hooks_clear(void);
void mercury_rope_set(unsigned int seconds);
bool mercury_rope_cancel(void);
unsigned int mercury_rope_left(void);
u32 mercury_hotplug_why(int cpu);
void mercury_why_native(int cpu, u32 event);
void mercury_hooks_exit(void);

/* ---- report.c ---- */
int mercury_report_init(void);
void mercury_report_exit(void);
void mercury_note(u16 event, u8 level, int cpu, u64 a, u64 b, u64 c, u64 d);
void mercury_drain_log(void);
void mercury_sample(u32 kind, u32 cpu, u64 begin, u64 end);
int mercury_status_fill(struct mercury_status *status, struct mercury_cpu_status *cpus, u32 capacity);
unsigned int mercury_log_copy(u64 *from, struct mercury_record *records, unsigned int capacity);
unsigned int mercury_samples_copy(u64 *from, struct mercury_sample *samples, unsigned int capacity);
void mercury_prove_here(struct mercury_proof *proof);

/* ---- trace.c ---- */
struct file;
void mercury_trace_want(struct file *file, bool wanted);	/* the machine's lock is held */
void mercury_trace_forget(struct file *file);	/* it is being closed */
void mercury_trace_begin(void);		/* after an attach; the lock is held */

/* ---- guard.c ---- */
bool mercury_resting(void);		/* a checkpoint's own suspend is under way */
u64 mercury_memory_end(void);
u64 mercury_pages_used(void);
u64 mercury_store_needed(void);		/* frames, for a checkpoint now */
u64 mercury_crash_loop_ticks(u64 milliseconds);
void mercury_give_up(void);
bool mercury_guard_words(u64 words[MERCURY_CALL_WORDS]);
int mercury_checkpoint(struct mercury_checkpoint *checkpoint);
int mercury_rollback(struct mercury_verdict *refusal);
int mercury_retell(u64 from, u64 words[MERCURY_CALL_WORDS]);
int mercury_guard_begin(void);
void mercury_guard_end(void);

/* Event codes of the module (hal/src/event.rs). */
enum {
	MERCURY_EVENT_ATTACH_BEGINS = 64,
	MERCURY_EVENT_LENT = 65,
	MERCURY_EVENT_ATTACH_DONE = 66,
	MERCURY_EVENT_ATTACH_REFUSED = 67,
	MERCURY_EVENT_DETACH_DONE = 68,
	MERCURY_EVENT_HOTPLUG_ATTACHED = 69,
	MERCURY_EVENT_HOTPLUG_DETACHED = 70,
	MERCURY_EVENT_HOTPLUG_FAILED = 71,
	MERCURY_EVENT_POWER_DETACH = 72,
	MERCURY_EVENT_POWER_ATTACH = 73,
	MERCURY_EVENT_POWER_FAILED = 74,
	MERCURY_EVENT_ROPE_PULLED = 75,
	MERCURY_EVENT_KEPT = 76,
	MERCURY_EVENT_ARRIVAL_LATE = 77,
	MERCURY_EVENT_DRY_RUN = 78,
	MERCURY_EVENT_MEMORY_REFUSED = 79,
	MERCURY_EVENT_DEAD_DETACHED = 80,
	MERCURY_EVENT_DIED_NATIVE = 81,
	/* of the image, of which it dies */
	MERCURY_EVENT_HOST_EXCEPTION = 17,
	MERCURY_EVENT_STANDSTILL = 21,
	MERCURY_EVENT_HOST_PANIC = 40,
};
enum { MERCURY_ERROR = 1, MERCURY_WARNING = 2, MERCURY_INFORMATION = 3, MERCURY_DETAIL = 4 };

/* ---- door.S ---- */
#define MERCURY_CALL_CHANGED (MERCURY_CALL_BASE | 0xff)
u64 mercury_call(u64 number, u64 argument, u64 words[MERCURY_CALL_WORDS]);
#ifdef MERCURY_TESTING
/* The same; MERCURY_CALL_CHANGED if a register that it must keep came back changed. */
u64 mercury_call_guarded(u64 number, u64 argument, u64 words[MERCURY_CALL_WORDS]);
#endif

#endif
