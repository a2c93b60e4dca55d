/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What mercury.ko says to user space through /dev/mercury.
 *
 * Every structure starts with the ABI version that the caller was built with;
 * a module of another version answers EPROTO and changes nothing. Sizes and
 * offsets are the same on 32 and 64 bits, all padding is named, and the Rust
 * mirror of this file (platform/linux/device/src/abi.rs) is held to it by
 * tests/host (`abi_agreement`). Physical addresses here are host physical.
 */
#ifndef MERCURY_ABI_H
#define MERCURY_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MERCURY_ABI_VERSION 1

/*
 * A requirement: something that must hold before Mercury may do what was
 * asked. `check` evaluates all that can be evaluated, and a refused attach or
 * detach names the first one that did not hold.
 */
enum mercury_requirement {
	MERCURY_REQUIREMENT_NONE = 0,
	/* what the CPU is; evaluated on every online CPU */
	MERCURY_REQUIREMENT_EXTENSION = 1,	/* CPUID names the virtualization extension */
	MERCURY_REQUIREMENT_ENABLED = 2,	/* firmware left it usable (SVM: VM_CR.SVMDIS clear) */
	MERCURY_REQUIREMENT_FREE = 3,		/* nobody uses it (SVM: EFER.SVME clear) */
	MERCURY_REQUIREMENT_STAGE2 = 4,		/* the CPU has nested paging */
	MERCURY_REQUIREMENT_PLAIN_MEMORY = 5,	/* no SEV guest, no SNP host, no SME */
	/* who asks, and what the kernel allows */
	MERCURY_REQUIREMENT_PRIVILEGE = 6,	/* CAP_SYS_ADMIN and CAP_SYS_RAWIO */
	MERCURY_REQUIREMENT_LOCKDOWN = 7,	/* the kernel is not locked down */
	/* the image, in the order in which it is looked at */
	MERCURY_REQUIREMENT_IMAGE_FOUND = 8,
	MERCURY_REQUIREMENT_IMAGE_WHOLE = 9,	/* magic right, length = header's length */
	MERCURY_REQUIREMENT_IMAGE_ARCHITECTURE = 10,
	MERCURY_REQUIREMENT_IMAGE_ABI = 11,
	MERCURY_REQUIREMENT_IMAGE_HASH = 12,
	/* the machine now */
	MERCURY_REQUIREMENT_MEMORY = 13,	/* the kernel lent the pages asked for */
	MERCURY_REQUIREMENT_NATIVE = 14,	/* attach: not attached yet */
	MERCURY_REQUIREMENT_ATTACHED = 15,	/* detach, keep, prove: attached */
	MERCURY_REQUIREMENT_IDLE = 16,		/* no other switch under way */
	/* what can only be known by trying. A refused attach was undone; ARRIVAL
	 * for a detach means that some CPUs may be native: ask for the status */
	MERCURY_REQUIREMENT_PREPARE = 17,	/* the image built its tables; read = its error code,
						 * with ENOSPC the frames that its page tables had */
	MERCURY_REQUIREMENT_ENTRY = 18,		/* every CPU entered; read = its error code */
	MERCURY_REQUIREMENT_ARRIVAL = 19,	/* every CPU came to the door in time */
	MERCURY_REQUIREMENT_UNINTERRUPTED = 20,	/* no signal before the seal */
	MERCURY_REQUIREMENT_SEAL = 21,		/* the isolation was sealed */
	MERCURY_REQUIREMENT_SUPPORTED = 22,	/* this CPU vendor, paging mode etc. is one we know */
	/* checkpoints */
	MERCURY_REQUIREMENT_GUARDED = 23,	/* there is a store */
	MERCURY_REQUIREMENT_QUIET = 24,		/* Linux came to rest: every process, every device */
	MERCURY_REQUIREMENT_CHECKPOINT = 25,	/* the image took it, or went back; read = its error code */
	MERCURY_REQUIREMENT_COUNT = 26,
};

enum mercury_outcome {
	MERCURY_OUTCOME_FAIL = 0,
	MERCURY_OUTCOME_PASS = 1,
	MERCURY_OUTCOME_UNKNOWN = 2,	/* could not be evaluated now; detail says why */
};

struct mercury_verdict {
	__u32 requirement;	/* enum mercury_requirement */
	__u32 outcome;		/* enum mercury_outcome */
	__s32 cpu;		/* the CPU that it was read on, -1: not of one CPU */
	__s32 error;		/* errno (positive) that it stands for, 0 if passed */
	__u64 read;		/* the raw value that was read */
	__u64 expected;		/* value of read & mask that would pass */
	__u64 mask;		/* the bits of `read` that were looked at */
	char detail[88];	/* NUL-terminated: what was read, where from, paths searched */
};				/* 128 bytes */

enum mercury_state {
	MERCURY_STATE_NATIVE = 0,
	MERCURY_STATE_ATTACHED = 1,	/* every online CPU answered as a guest */
	MERCURY_STATE_MIXED = 2,	/* some did and some did not */
	MERCURY_STATE_SWITCHING = 3,	/* an attach or detach is under way; CPUs were not asked */
};

enum mercury_cpu_state {
	MERCURY_CPU_NATIVE = 0,
	MERCURY_CPU_ATTACHED = 1,
	MERCURY_CPU_OFFLINE = 2,
	MERCURY_CPU_SILENT = 3,		/* did not answer before the deadline */
};

/* Reasons for exits, neutral to the architecture. Index into exits[]. */
enum mercury_exit_reason {
	MERCURY_EXIT_HYPERCALL = 0,	/* ours, from kernel mode */
	MERCURY_EXIT_HYPERCALL_REFUSED = 1, /* from user mode, or of an unknown number */
	MERCURY_EXIT_REGISTER_READ = 2,	/* x86: RDMSR */
	MERCURY_EXIT_REGISTER_WRITE = 3, /* x86: WRMSR */
	MERCURY_EXIT_STAGE2_MAPPED = 4,	/* fault on an address not named by iomem: mapped at once */
	MERCURY_EXIT_HOLE_STORE = 5,	/* store to our frames, dropped */
	MERCURY_EXIT_HOLE_REFUSED = 6,	/* access to our frames that was answered by a fault */
	MERCURY_EXIT_VIRTUALIZATION = 7, /* VMRUN, STGI, VMXON, ... by the guest */
	MERCURY_EXIT_IDENTIFICATION = 8, /* x86: CPUID (VMX only) */
	MERCURY_EXIT_RESET = 9,		/* triple fault */
	MERCURY_EXIT_INTERRUPT = 10,	/* NMI, INIT, SIPI */
	MERCURY_EXIT_OTHER = 11,
	MERCURY_EXIT_REASONS = 16,	/* room; the unused ones read 0 */
};

/* ---- MERCURY_IOC_INFO: never refused once the device is open ---- */
struct mercury_info {
	__u32 abi;		/* out: the module's version */
	__u32 testing;		/* out: 1 if built with fault injection and mutants */
	char architecture[16];	/* out: "x86_64" */
	char backend[16];	/* out: "svm"; "" if this CPU has none */
	char image_name[64];	/* out: as given to request_firmware */
	__u8 image_sha256[32];	/* out: the only image that will be accepted */
	char version[32];	/* out: of the project */
	__u64 tsc_khz;		/* out: of the clock in samples and records */
};

/* ---- MERCURY_IOC_CHECK: every requirement, nothing changed ---- */
struct mercury_check {
	__u32 abi;
	__u32 capacity;		/* in: room in verdicts */
	__u32 count;		/* out: how many there are (may exceed capacity) */
	__u32 failed;		/* out: how many of them failed */
	__u64 verdicts;		/* in: user pointer to struct mercury_verdict[capacity] */
};

/* ---- MERCURY_IOC_ATTACH ---- */
#define MERCURY_ATTACH_DRY_RUN 1u	/* everything up to the first CPU's entry, then undo */
struct mercury_attach {
	__u32 abi;
	__u32 flags;
	__u32 rope_seconds;	/* in: 0, or detach after this unless MERCURY_IOC_KEEP comes */
	__u32 reserved;
	struct mercury_verdict refusal; /* out: valid when the ioctl fails */
};

/* ---- MERCURY_IOC_DETACH and MERCURY_IOC_KEEP ---- */
struct mercury_request {
	__u32 abi;
	__u32 flags;		/* 0 */
	struct mercury_verdict refusal; /* out: valid when the ioctl fails */
};

/* ---- MERCURY_IOC_STATUS: asks every CPU ---- */
struct mercury_cpu_status {
	__u32 cpu;
	__u32 state;		/* enum mercury_cpu_state */
	__u64 exits[MERCURY_EXIT_REASONS]; /* since this CPU's last entry */
	__u64 entries;		/* how often this CPU went in since the machine was attached */
	__u32 why;		/* for a CPU that is native while attached: a mercury_event code, else 0 */
	__u32 reserved;
};

struct mercury_status {
	__u32 abi;
	__u32 state;		/* enum mercury_state */
	__u32 cpus_possible;
	__u32 cpus_online;
	__u32 cpu_capacity;	/* in: room in cpus */
	__u32 cpu_count;	/* out: entries written, one per possible CPU */
	__u32 rope_seconds_left; /* out: 0 = no rope */
	__u32 stage2_levels;	/* 4 or 5; 0 when native */
	__u64 cpus;		/* in: user pointer to struct mercury_cpu_status[cpu_capacity] */
	/* memory lent by the kernel, in bytes; all 0 when native */
	__u64 image_bytes;
	__u64 per_cpu_bytes;	/* all CPUs together */
	__u64 host_table_bytes;
	__u64 stage2_bytes;	/* tables in use */
	__u64 shared_bytes;	/* log, maps of intercepted registers, zero page */
	__u64 spare_bytes;	/* lent, not in use */
	__u64 lent_bytes;	/* sum of all the above */
	/* the nested map: leaves of each size */
	__u64 leaves_1g;
	__u64 leaves_2m;
	__u64 leaves_4k;
	__u64 mapped_on_demand;	/* faults outside iomem, mapped at once */
	/* the ledger: what the module holds of the kernel now */
	__u32 ledger_pages;
	__u32 ledger_maps;	/* tables of the module's own: where the doors are */
	__u32 ledger_notifiers;
	__u32 ledger_hotplug_states;
	/* since the module was loaded */
	__u64 attaches;
	__u64 detaches;
	__u64 attaches_refused;
	/* the module's own copy of the image's file, attached or not; 0: none was found yet */
	__u64 kept_bytes;
};

/* ---- MERCURY_IOC_FRAMES: where the hole is ---- */
struct mercury_frame_range { __u64 start; __u64 pages; };
struct mercury_frames {
	__u32 abi;
	__u32 capacity;
	__u32 count;		/* out */
	__u32 reserved;
	__u64 ranges;		/* in: user pointer to struct mercury_frame_range[capacity] */
};

/* ---- MERCURY_IOC_LOG: the ring; works in every state ---- */
struct mercury_record {		/* 64 bytes; one event */
	__u64 sequence;		/* from 1, without gaps; a reader that fell behind sees a jump */
	__u64 ticks;		/* TSC */
	__u16 event;		/* hal::event codes */
	__u8 level;		/* 1 error, 2 warning, 3 information, 4 detail */
	__u8 origin;		/* 0 image, 1 module */
	__u32 cpu;
	__u64 arguments[5];	/* meaning by event */
};
struct mercury_log {
	__u32 abi;
	__u32 capacity;		/* in */
	__u32 count;		/* out */
	__u32 reserved;
	__u64 from;		/* in: first sequence wanted; out: the next to ask for */
	__u64 records;		/* in: user pointer to struct mercury_record[capacity] */
};

/* ---- MERCURY_IOC_SAMPLES: what each step cost ---- */
enum mercury_sample_kind {
	MERCURY_SAMPLE_ATTACH_BLACKOUT = 0,	/* IRQs off to IRQs on, one CPU, going in */
	MERCURY_SAMPLE_DETACH_BLACKOUT = 1,	/* the same, going out */
	MERCURY_SAMPLE_PREPARE_BLACKOUT = 2,	/* one preparation step inside the image, IRQs off */
	MERCURY_SAMPLE_UNDO_BLACKOUT = 3,	/* a CPU that was in, leaving because another failed */
	MERCURY_SAMPLE_ATTACH_CALL = 4,		/* ioctl entry to return */
	MERCURY_SAMPLE_DETACH_CALL = 5,
	MERCURY_SAMPLE_ATTACH_SWITCH = 6,	/* start of the first blackout to end of the last */
	MERCURY_SAMPLE_DETACH_SWITCH = 7,
};
struct mercury_sample {
	__u64 sequence;		/* from 1 */
	__u32 kind;
	__u32 cpu;		/* 0xffffffff: not of one CPU */
	__u64 begin;		/* TSC */
	__u64 end;		/* TSC */
};
struct mercury_samples {
	__u32 abi;
	__u32 capacity;
	__u32 count;
	__u32 reserved;
	__u64 from;		/* as in mercury_log */
	__u64 samples;
};

/* ---- MERCURY_IOC_PROVE: is this CPU really under a second stage? ----
 * The module has two pages of its own, one filled with `plain`, one with
 * `other`. On the CPU named: (1) ask the hypervisor to let the first page's
 * guest physical address point at the second, read it, put it back; (2) ask
 * it to unmap the first page, read it, and see the fault counter rise by one.
 * On a native CPU the requests answer nothing and both reads give `plain`.
 */
struct mercury_proof {
	__u32 abi;
	__u32 cpu;		/* in */
	__u64 plain;		/* out: what the page holds */
	__u64 other;		/* out: what the other page holds */
	__u64 read_flipped;	/* out: `other` if attached, `plain` if native */
	__u64 read_unmapped;	/* out: `plain` in both cases */
	__u64 faults_raised;	/* out: 1 if attached, 0 if native */
	__u32 answered;		/* out: 1 if the CPU answered as a guest */
	__u32 reserved;
};

/* ---- MERCURY_IOC_NULL_CALLS: what an exit costs ---- */
struct mercury_null_calls {
	__u32 abi;
	__u32 cpu;		/* in */
	__u32 count;		/* in: 1 .. 100000 */
	__u32 answered;		/* out: 1 if the CPU is a guest */
	__u64 ticks;		/* out: TSC ticks for all of them, IRQs off */
};

/* ---- MERCURY_IOC_TRACE: each exit in the log ----
 * As long as a descriptor wants it. Exits come fast and the image keeps 128 records,
 * so whoever wants them all reads the log often; it may be asked for before an attach.
 */
struct mercury_trace {
	__u32 abi;
	__u32 exits;		/* in: 1 record them until this descriptor is closed, 0 do not */
};

/* ---- MERCURY_IOC_GUARD: the store in which a checkpoint is kept ----
 * It is lent together with all else, so switching it on or off takes Mercury away for
 * a moment and puts it back.
 */
enum mercury_guard_action {
	MERCURY_GUARD_STATUS = 0,
	MERCURY_GUARD_ON = 1,
	MERCURY_GUARD_OFF = 2,
	MERCURY_GUARD_GIVE_UP = 3,	/* the checkpoint, not the store */
};
struct mercury_guard {
	__u32 abi;
	__u32 action;		/* in: enum mercury_guard_action */
	__u64 store_bytes;	/* in: how large (0: as large as is needed now); out: how large it is, 0: none */
	__u64 needed_bytes;	/* out: what a checkpoint would need now */
	__u64 room_pages;	/* out: how many pages can be kept */
	__u64 kept_pages;	/* out: of the checkpoint that exists; 0: there is none */
	__u64 checkpoints;	/* out: taken so far */
	__u64 rolled_back;	/* out: how often; grows with each roll-back, which user space cannot forget */
	__u64 changed_pages;	/* out: that the last roll-back put back */
	__u64 crash_loop_milliseconds; /* in: 5 roll-backs within it are a loop, and a sixth is not done; 0: never */
	struct mercury_verdict refusal; /* out: valid when the ioctl fails */
};

/* ---- MERCURY_IOC_CHECKPOINT: returns once more after each roll-back ---- */
struct mercury_checkpoint {
	__u32 abi;
	__u32 flags;		/* 0 */
	__u64 rolled_back;	/* out: 0: taken; otherwise the number of the roll-back that led here */
	__u64 number;		/* out: which checkpoint */
	__u64 kept;		/* out: pages */
	struct mercury_verdict refusal; /* out: valid when the ioctl fails */
};

/* ---- MERCURY_IOC_ROLLBACK: takes a mercury_request; comes back only if it fails ---- */

/* Why a machine was rolled back. */
enum mercury_cause {
	MERCURY_CAUSE_PANIC = 1,
	MERCURY_CAUSE_ASKED = 2,
	MERCURY_CAUSE_SHUTDOWN = 3,	/* triple fault */
};

/* ---- MERCURY_IOC_RETELL: the record of the last roll-back (core/src/guard/record.rs) ---- */
struct mercury_retell {
	__u32 abi;
	__u32 capacity;		/* in: words, a multiple of 8 */
	__u64 from;		/* in: first word, a multiple of 8 */
	__u64 words;		/* in: user pointer to __u64[capacity]; behind the end all is 0 */
};

#define MERCURY_IOC_INFO    _IOWR('m', 0x00, struct mercury_info)
#define MERCURY_IOC_CHECK   _IOWR('m', 0x01, struct mercury_check)
#define MERCURY_IOC_ATTACH  _IOWR('m', 0x02, struct mercury_attach)
#define MERCURY_IOC_DETACH  _IOWR('m', 0x03, struct mercury_request)
#define MERCURY_IOC_KEEP    _IOWR('m', 0x04, struct mercury_request)
#define MERCURY_IOC_STATUS  _IOWR('m', 0x05, struct mercury_status)
#define MERCURY_IOC_FRAMES  _IOWR('m', 0x06, struct mercury_frames)
#define MERCURY_IOC_LOG     _IOWR('m', 0x07, struct mercury_log)
#define MERCURY_IOC_SAMPLES _IOWR('m', 0x08, struct mercury_samples)
#define MERCURY_IOC_PROVE   _IOWR('m', 0x09, struct mercury_proof)
#define MERCURY_IOC_NULL_CALLS _IOWR('m', 0x0a, struct mercury_null_calls)
#define MERCURY_IOC_TRACE   _IOWR('m', 0x10, struct mercury_trace)
#define MERCURY_IOC_GUARD   _IOWR('m', 0x11, struct mercury_guard)
#define MERCURY_IOC_CHECKPOINT _IOWR('m', 0x12, struct mercury_checkpoint)
#define MERCURY_IOC_ROLLBACK _IOWR('m', 0x13, struct mercury_request)
#define MERCURY_IOC_RETELL  _IOWR('m', 0x14, struct mercury_retell)

#endif
