/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The door, as far as it is x86-64's (see mercury_door.h). The Rust side is
 * arch/x86_64/src/noted.rs and window.rs.
 */
#ifndef MERCURY_NOTED_H
#define MERCURY_NOTED_H

#define MERCURY_IMAGE_BASE 0x40000000

#define MERCURY_BACKEND_SVM 1
#define MERCURY_BACKEND_VMX 2

/* Offsets into struct mercury_door, for door.S. */
#define MERCURY_DOOR_STACK_POINTER 144
#define MERCURY_DOOR_INSTRUCTION_POINTER 152
#define MERCURY_DOOR_FLAGS 160
#define MERCURY_DOOR_ROOT 168
#define MERCURY_DOOR_CONTROL4 176
#define MERCURY_DOOR_EXTENDED_FEATURES 184
#define MERCURY_DOOR_GDTR 192
#define MERCURY_DOOR_IDTR 208
#define MERCURY_DOOR_HOST_CONTROL4 288

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct mercury_segment {
	__u64 selector;
	__u64 descriptor;
};

struct mercury_noted {
	__u64 stack_pointer;
	__u64 instruction_pointer;
	__u64 flags;
	__u64 root;
	__u64 control4;
	__u64 extended_features;
	__u64 gdtr[2];
	__u64 idtr[2];
	struct mercury_segment segments[4];	/* CS, SS, DS, ES */
	__u64 host_control4;
};
#endif
#endif
