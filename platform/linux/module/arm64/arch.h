/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rest of the module asks of an architecture; this is ARM64. The
 * other one has a file of the same name with the same functions.
 *
 * Entries are those of EL2's own stage 1 tables, 4-KiB pages (Arm ARM D8.3).
 */
#ifndef MERCURY_ARCH_H
#define MERCURY_ARCH_H

#include <linux/mm.h>
#include <asm/barrier.h>
#include <asm/cache.h>
#include <asm/cacheflush.h>
#include <asm/sysreg.h>

#include "noted.h"
#include "publish.h"

#if PAGE_SHIFT != 12
#error "Mercury lends pages of 4 KiB: kernels with pages of 16 or 64 KiB are not supported"
#endif

#define MERCURY_ARCHITECTURE "aarch64"
/* An idle state that loses EL2's registers would lose Mercury. */
#define MERCURY_IDLES_LIGHTLY true
#define MERCURY_TAKEN_BETWEEN "HCR_EL2 bit 0 (VM) set since the probe"

struct mercury_door;
u64 mercury_door(struct mercury_door *door);

static inline u64 mercury_backend_number(void)
{
	return MERCURY_BACKEND_EL2;
}

/* The clock of log and samples, and how fast it is. */
static inline u64 mercury_ticks(void)
{
	isb();
	return read_sysreg(cntvct_el0);
}

static inline u64 mercury_ticks_khz(void)
{
	return read_sysreg(cntfrq_el0) / 1000;
}

/* ---- the image's page tables ---- */

static inline unsigned int mercury_levels(void)
{
	return 4;
}

#define MERCURY_ENTRY_ADDRESS 0x0000fffffffff000ull

static inline u64 mercury_table_entry(u64 table)
{
	return table | 3;
}

/* Write-back (index 0), inner shareable, accessed; AP[1] is RES1 at EL2. */
static inline u64 mercury_leaf_entry(u64 page, bool write, bool execute)
{
	return page | 3 | 1 << 6 | 3 << 8 | 1 << 10 | (write ? 0 : 1 << 7) | (execute ? 0 : 1ull << 54);
}

/* The page in which the MMU goes on and off, where it lies. */
static inline u64 mercury_shared_page(u64 entry_physical, u64 *physical)
{
	*physical = entry_physical & PAGE_MASK;
	return *physical;
}

/* What the stub jumps to, with the MMU off. */
static inline u64 mercury_host_entry(u64 virtual, u64 physical)
{
	return physical;
}

static inline unsigned int mercury_more_tables(unsigned int cpus)
{
	return 0;
}

static inline u64 mercury_way_out(void)
{
	return 0;	/* the image knows it */
}

static inline u64 mercury_way_free(void)
{
	return 0;	/* the image has it */
}

static inline u64 mercury_call_site_of(void)
{
	return 0;	/* the guest is behind its HVC already */
}

/* ---- instructions (publish.h says what for) ---- */

static inline void mercury_clean(void *context, unsigned long at)
{
	asm volatile("dc civac, %0" : : "r"(at) : "memory");
}

static inline void mercury_wait(void *context)
{
	dsb(sy);
}

static inline void mercury_forget_instructions(void *context, unsigned long start, unsigned long end)
{
	caches_clean_inval_pou(start, end);
}

/* A frame of zeros. */
static inline void mercury_clear(void *frame)
{
	clear_page(frame);
}

static inline void mercury_publish(void *memory, size_t bytes)
{
	const struct mercury_publisher publisher = {
		.line = 4ul << (read_sysreg(ctr_el0) >> 16 & 0xf),
		.clean = mercury_clean,
		.wait = mercury_wait,
		.forget_instructions = mercury_forget_instructions,
	};

	mercury_publish_with(&publisher, NULL, (unsigned long)memory, bytes);
}

#endif
