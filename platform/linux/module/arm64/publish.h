/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What has to be done to memory that the image is about to execute. No kernel
 * header is used here: the host tests compile this file and drive it on a
 * machine whose caches are as unhelpful as they may be (tests/host).
 *
 * The image's first page is fetched while EL2's MMU is off, which is past the
 * caches: every line of it must be clean to the point of coherency, and the
 * cleaning complete (Arm ARM D7.5: by a DSB for all accesses, system wide). The
 * rest is fetched through instruction caches, in which older instructions from
 * the same frames may be.
 */
#ifndef MERCURY_PUBLISH_H
#define MERCURY_PUBLISH_H

struct mercury_publisher {
	/* Bytes that cleaning one address cleans; a power of two. */
	unsigned long line;
	/* Begins to clean and drop the line around an address (DC CIVAC). */
	void (*clean)(void *context, unsigned long at);
	/* Waits until all cleaning so far is complete (DSB SY). */
	void (*wait)(void *context);
	/*
	 * No CPU keeps older instructions from here. On CPUs whose instruction
	 * caches look for themselves the kernel does next to nothing: it stands
	 * in for neither of the others.
	 */
	void (*forget_instructions)(void *context, unsigned long start, unsigned long end);
};

static inline void
mercury_publish_with(const struct mercury_publisher *publisher, void *context, unsigned long start,
		     unsigned long bytes)
{
	unsigned long at = start & ~(publisher->line - 1);

	for (; at < start + bytes; at += publisher->line)
		publisher->clean(context, at);
	publisher->wait(context);
	publisher->forget_instructions(context, start, start + bytes);
}

#endif
