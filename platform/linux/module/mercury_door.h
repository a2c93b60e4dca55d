/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The door: how mercury.ko calls into the hypervisor's image, and the
 * hypercalls with which it talks to it from an attached CPU. The Rust side,
 * with the essay, is hal/src/door.rs and hal/src/call.rs; tests/host holds the
 * two together (`door_agreement`).
 */
#ifndef MERCURY_DOOR_H
#define MERCURY_DOOR_H

#define MERCURY_DOOR_ABI 3
#define MERCURY_IMAGE_MAGIC 0x005952554352454d

/* Where the window begins, the backends, and what is noted of a CPU on its
 * way in: by architecture. */
#include "noted.h"

#define MERCURY_CPU_OFFSET 0x10000000
#define MERCURY_CPU_STRIDE 0x10000
#define MERCURY_FRAME_OFFSET 0x20000000
#define MERCURY_PEEK_OFFSET 0x30000000
#define MERCURY_SIGHTS 2
#define MERCURY_CPU_BASE (MERCURY_IMAGE_BASE + MERCURY_CPU_OFFSET)
#define MERCURY_FRAME_BASE (MERCURY_IMAGE_BASE + MERCURY_FRAME_OFFSET)
#define MERCURY_PEEK_BASE (MERCURY_IMAGE_BASE + MERCURY_PEEK_OFFSET)
#define MERCURY_CPU_PAGES 8
#define MERCURY_CPU_PAGE_SLOTS { 0, 1, 2, 3, 5, 6, 7, 9 }
#define MERCURY_MAX_CPUS 4096
#define MERCURY_MAX_BLOCKS 240

#define MERCURY_OPERATION_PREPARE 0
#define MERCURY_OPERATION_MAP 1
#define MERCURY_OPERATION_PUNCH 2
#define MERCURY_OPERATION_ENTER 3
#define MERCURY_OPERATION_LOG 4

#define MERCURY_CALL_BASE 0x4d45524300000000
#define MERCURY_CALL_NULL 0
#define MERCURY_CALL_STATUS 1
#define MERCURY_CALL_DETACH 2
#define MERCURY_CALL_SEAL 3
#define MERCURY_CALL_LOG 4
#define MERCURY_CALL_FLIP 5
#define MERCURY_CALL_UNMAP 6
#define MERCURY_CALL_RESTORE 7
#define MERCURY_CALL_COUNTERS 8
#define MERCURY_CALL_MEMORY 9
#define MERCURY_CALL_COVER 10
#define MERCURY_CALL_TRACE 11
#define MERCURY_CALL_MARK 12
#define MERCURY_CALL_CHECKPOINT 13
#define MERCURY_CALL_ROLL_BACK 14
#define MERCURY_CALL_TELL 15
#define MERCURY_CALL_RETELL 16
#define MERCURY_CALL_GUARDED 17
#define MERCURY_CALL_GIVE_UP 18
#define MERCURY_CALL_WORDS 8

/* Pages that one page of marks speaks of. */
#define MERCURY_MARKED 32768

/* Errors of the image that the module acts upon (hal/src/error.rs). */
#define MERCURY_ERROR_FRAMES_EXHAUSTED 3
#define MERCURY_ERROR_UNSUPPORTED 5
#define MERCURY_ERROR_EXTENSION_TAKEN 6
#define MERCURY_ERROR_INJECTED 10
#define MERCURY_ERROR_DIED 12
#define MERCURY_ERROR_STORE_TOO_SMALL 13
#define MERCURY_ERROR_NO_CHECKPOINT 14

/* Injections into MERCURY_OPERATION_ENTER, test builds only. */
#define MERCURY_INJECT_REFUSE 1		/* the image refuses */
#define MERCURY_INJECT_ASID0 2		/* VMRUN itself fails */
#define MERCURY_INJECT_DIE 3		/* the image dies */

/* Offsets into struct mercury_door, for door.S. */
#define MERCURY_DOOR_OWN 104
#define MERCURY_DOOR_HOST_ROOT 112
#define MERCURY_DOOR_HOST_ENTRY 120

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct mercury_door {
	__u64 operation;
	__u64 arguments[4];
	__u64 words[8];
	__u64 own;
	__u64 host_root;
	__u64 host_entry;
	__u64 way_out;
	__u64 backend;
	struct mercury_noted noted;
	__u64 control_block;
	__u64 kernel;
	__u64 way_free;
	__u64 call_site;
};

struct mercury_block {
	__u64 start;
	__u64 pages;
};

struct mercury_parameters {
	__u32 abi;
	__u32 block_count;
	__u32 cpus_possible;
	__u32 address_bits;
	__u32 image_frames;
	__u32 first_free;
	__u32 frame_count;
	__u32 huge_leaves;
	__u32 levels;
	__u32 store_frames;
	__u64 proof_pages[2];
	__u64 peek_table_frame;
	__u64 mutant;
	__u64 memory_end;
	__u64 crash_loop_ticks;
	struct mercury_block blocks[MERCURY_MAX_BLOCKS];
};

/* The image begins with this (image/x86_64/image.ld). */
struct mercury_image_segment {
	__u32 first_page;
	__u32 pages;
	__u32 flags;		/* 1 writable, 2 executable */
	__u32 reserved;
};

struct mercury_image_header {
	__u64 magic;
	__u32 abi;
	__u32 segment_count;
	char architecture[16];
	__u64 file_bytes;
	__u64 memory_bytes;
	__u64 base;
	__u64 entry;
	struct mercury_image_segment segments[4];
};
#endif
#endif
