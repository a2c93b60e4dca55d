// SPDX-License-Identifier: GPL-2.0
/*
 * The page tables under which the image runs. They map the image, the CPUs'
 * areas, the lent frames and the trampoline's page, and nothing else of the
 * kernel (layout: hal/src/door.rs). As deep as the kernel's own tables, because
 * CR4.LA57 cannot change in long mode.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <asm/processor-flags.h>
#include <asm/pgtable_types.h>

#include "mercury.h"

#define PRESENT 1ull
#define WRITABLE 2ull
#define ACCESSED_DIRTY (1ull << 5 | 1ull << 6)
#define ADDRESS 0x000ffffffffff000ull

unsigned int mercury_levels(void)
{
	return __read_cr4() & X86_CR4_LA57 ? 5 : 4;
}

unsigned int mercury_tables_needed(unsigned int image_frames, unsigned int cpus, unsigned int frames)
{
	/* The root, and below it with five levels one table for each half. */
	unsigned int tops = mercury_levels() == 5 ? 3 : 1;

	/* Lower half: a table of each level and the leaves. Upper: one of each. */
	return tops + 2 + 3 + DIV_ROUND_UP(image_frames, 512) +
	       DIV_ROUND_UP(cpus, (2 << 20) / MERCURY_CPU_STRIDE) +
	       DIV_ROUND_UP(frames, 512) + DIV_ROUND_UP(cpus, 512);
}

static u64 *new_table(struct mercury_tables *tables, unsigned int *frame)
{
	if (tables->next == tables->end)
		return NULL;
	*frame = tables->next++;
	return mercury_frame(tables->lent, *frame);
}

int mercury_tables_begin(struct mercury_tables *tables, struct mercury_lent *lent,
			 unsigned int first, unsigned int count)
{
	unsigned int frame;

	tables->lent = lent;
	tables->next = first;
	tables->end = first + count;
	tables->levels = mercury_levels();
	tables->no_execute = boot_cpu_has(X86_FEATURE_NX) ? 1ull << 63 : 0;
	tables->root = new_table(tables, &frame);
	return tables->root ? 0 : -ENOSPC;
}

static u64 *leaf_table(struct mercury_tables *tables, u64 virtual, unsigned int *leaf_frame)
{
	u64 *table = tables->root;
	unsigned int level, frame = 0;

	for (level = tables->levels - 1; level > 0; level--) {
		u64 *entry = &table[virtual >> (12 + 9 * level) & 511];

		if (*entry) {
			table = phys_to_virt(*entry & ADDRESS);
			continue;
		}
		table = new_table(tables, &frame);
		if (!table)
			return NULL;
		*entry = virt_to_phys(table) | PRESENT | WRITABLE | ACCESSED_DIRTY;
	}
	if (leaf_frame)
		*leaf_frame = frame;
	return table;
}

int mercury_tables_map(struct mercury_tables *tables, u64 virtual, u64 physical, unsigned int flags)
{
	u64 *table = leaf_table(tables, virtual, NULL);
	u64 entry = physical | PRESENT | ACCESSED_DIRTY;

	if (!table)
		return -ENOSPC;
	if (flags & MERCURY_MAP_WRITE)
		entry |= WRITABLE;
	if (!(flags & MERCURY_MAP_EXECUTE))
		entry |= tables->no_execute;
	table[virtual >> 12 & 511] = entry;
	return 0;
}

int mercury_tables_leaf(struct mercury_tables *tables, u64 virtual, unsigned int *frame)
{
	return leaf_table(tables, virtual, frame) ? 0 : -ENOSPC;
}
