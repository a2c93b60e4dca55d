/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The door, as far as it is ARM64's (see mercury_door.h). The Rust side is
 * arch/aarch64/src/window.rs; EL2 can read everything but one thing itself.
 */
#ifndef MERCURY_NOTED_H
#define MERCURY_NOTED_H

#define MERCURY_IMAGE_BASE 0x800000000000

#define MERCURY_BACKEND_EL2 1

/* struct mercury_noted.conduit (image/aarch64/src/death.rs) */
#define MERCURY_CONDUIT_SMC 1

#define MERCURY_SERVICES 8

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct mercury_noted {
	__u64 conduit;		/* how the firmware is asked; 0: there is none to ask */
	/* For checkpoints (arch/aarch64/src/guard/platform.rs); 0: not known. */
	__u64 configuration;	/* of PCI, and its bytes */
	__u64 configuration_bytes;
	__u64 controller;	/* version of the GIC */
	__u64 distributor;
	__u64 interface;	/* GICv2 */
	__u64 redistributors;	/* GICv3, and their bytes */
	__u64 redistributor_bytes;
	__u64 service_count;	/* ITS */
	__u64 services[MERCURY_SERVICES];
	__u64 unused[2];
};
#endif
#endif
