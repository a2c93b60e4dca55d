/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rest of the module asks of an architecture; this is x86-64. The
 * other one has a file of the same name with the same functions.
 */
#ifndef MERCURY_ARCH_H
#define MERCURY_ARCH_H

#include <linux/mm.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/pgtable_types.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/tsc.h>

#include "noted.h"

#define MERCURY_ARCHITECTURE "x86_64"
/* A CPU that loses its context in idle loses nothing of Mercury's. */
#define MERCURY_IDLES_LIGHTLY false
#define MERCURY_TAKEN_BETWEEN (mercury_vmx ? "CR4 bit 13 (VMXE) set since the probe" : \
			       "EFER bit 12 (SVME) set since the probe")

struct mercury_door;
/* door.S: AMD's; door_vmx.S: Intel's. */
extern u8 mercury_vmx;
extern char mercury_call_site[], mercury_call_site_vmx[];
extern char mercury_door_exit[], mercury_door_exit_vmx[], mercury_door_freed[];
u64 mercury_door_svm(struct mercury_door *door);
u64 mercury_door_vmx(struct mercury_door *door);

static inline u64 mercury_door(struct mercury_door *door)
{
	return mercury_vmx ? mercury_door_vmx(door) : mercury_door_svm(door);
}

static inline u64 mercury_backend_number(void)
{
	return mercury_vmx ? MERCURY_BACKEND_VMX : MERCURY_BACKEND_SVM;
}

/* The clock of log and samples, and how fast it is. */
static inline u64 mercury_ticks(void)
{
	return rdtsc();
}

static inline u64 mercury_ticks_khz(void)
{
	return tsc_khz;
}

/* ---- the image's page tables ---- */

/* As deep as the kernel's: CR4.LA57 cannot change in long mode. */
static inline unsigned int mercury_levels(void)
{
	return __read_cr4() & X86_CR4_LA57 ? 5 : 4;
}

#define MERCURY_ENTRY_ADDRESS 0x000ffffffffff000ull

static inline u64 mercury_table_entry(u64 table)
{
	return table | _PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY;
}

static inline u64 mercury_leaf_entry(u64 page, bool write, bool execute)
{
	u64 no_execute = !execute && boot_cpu_has(X86_FEATURE_NX) ? 1ull << 63 : 0;

	return page | _PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_DIRTY | (write ? _PAGE_RW : 0) | no_execute;
}

static inline u64 mercury_way_out(void)
{
	return mercury_vmx ? (u64)mercury_door_exit_vmx : (u64)mercury_door_exit;
}

static inline u64 mercury_way_free(void)
{
	return (u64)mercury_door_freed;
}

/* Where the module's own hypercall is: VMMCALL and VMCALL have three bytes. */
static inline u64 mercury_call_site_of(void)
{
	return mercury_vmx ? (u64)mercury_call_site_vmx : (u64)mercury_call_site;
}

/* The page that lies in both address spaces: the door and its way out. */
static inline u64 mercury_shared_page(u64 entry_physical, u64 *physical)
{
	u64 page = mercury_way_out() & PAGE_MASK;

	*physical = PFN_PHYS(vmalloc_to_pfn((void *)page));
	return page;
}

/* What the trampoline jumps to. */
static inline u64 mercury_host_entry(u64 virtual, u64 physical)
{
	return virtual;
}

/* Tables beyond the usual: the landing pads, at worst each in a gigabyte of its own. */
static inline unsigned int mercury_more_tables(unsigned int cpus)
{
	return mercury_vmx ? 2 + 2 * cpus : 0;
}

/* A frame of zeros; by the instruction that counts no more than it stores. */
static inline void mercury_clear(void *frame)
{
	memset64(frame, 0, PAGE_SIZE / sizeof(u64));
}

/* Memory that is about to be executed by the image: caches are coherent. */
static inline void mercury_publish(void *memory, size_t bytes)
{
}

#endif
