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

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct mercury_noted {
	__u64 conduit;		/* how the firmware is asked; 0: there is none to ask */
	__u64 unused[18];
};
#endif
#endif
