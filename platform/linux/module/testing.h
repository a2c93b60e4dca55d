/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Failures and defects on purpose, in builds for tests only (Kbuild flag
 * MERCURY_TESTING=1). In a release every one of these is a constant.
 */
#ifndef MERCURY_TESTING_H
#define MERCURY_TESTING_H

#include <linux/types.h>

struct mercury_facts;

enum mercury_point {
	MERCURY_POINT_ALLOC,	/* the n-th allocation fails */
	MERCURY_POINT_LARGE,	/* no allocation above order 3 succeeds (no failure, a poor machine) */
	MERCURY_POINT_FIRMWARE,	/* there is no image */
	MERCURY_POINT_FORGET,	/* the kept image is given back first (no failure, as if just loaded) */
	MERCURY_POINT_PREPARE,	/* the n-th preparation call fails */
	MERCURY_POINT_ENTER,	/* the image refuses this CPU */
	MERCURY_POINT_ASID0,	/* VMRUN itself fails on this CPU */
	MERCURY_POINT_DIE,	/* the image dies while this CPU goes in */
	MERCURY_POINT_ARRIVE,	/* this CPU never comes to the door */
	MERCURY_POINT_STUCK,	/* this CPU cannot be taken out again */
	MERCURY_POINT_STAY,	/* this CPU goes offline as a guest (no failure, an untold one) */
	MERCURY_POINT_SEAL,	/* the seal is refused */
	MERCURY_POINT_SIGNAL,	/* the n-th look for a signal finds one */
	MERCURY_POINT_HOOKS,	/* the n-th hook cannot be set */
};

/* The hypercall of which an image built for tests dies (image/.../provoke.rs). */
#define MERCURY_TEST_DIE 0xdead

#ifdef MERCURY_TESTING
bool mercury_inject(enum mercury_point point, int cpu);
void mercury_inject_reset(void);
void mercury_override(struct mercury_facts *facts, int cpu);
u64 mercury_mutant(void);
bool mercury_mutant_is(const char *name);
void mercury_observe_before(int cpu, int direction);
void mercury_observe_after(int cpu, int direction, int result);
#define MERCURY_IS_TESTING 1
#else
static inline bool mercury_inject(enum mercury_point point, int cpu) { return false; }
static inline void mercury_inject_reset(void) { }
static inline void mercury_override(struct mercury_facts *facts, int cpu) { }
static inline u64 mercury_mutant(void) { return 0; }
static inline bool mercury_mutant_is(const char *name) { return false; }
static inline void mercury_observe_before(int cpu, int direction) { }
static inline void mercury_observe_after(int cpu, int direction, int result) { }
#define MERCURY_IS_TESTING 0
#endif

#endif
