/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the test module, in builds for tests only: called with IRQs off on the
 * CPU that switches, immediately before and after the door.
 */
#ifndef MERCURY_OBSERVER_H
#define MERCURY_OBSERVER_H

struct mercury_observer {
	void (*before)(int cpu, int direction);	/* 0 attach, 1 detach */
	void (*after)(int cpu, int direction, int result);
};

/* NULL takes the observer away. EBUSY if there is another one already. */
int mercury_set_observer(const struct mercury_observer *observer);

#endif
