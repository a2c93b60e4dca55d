// SPDX-License-Identifier: GPL-2.0
/*
 * The page tables under which the image runs. They map the image, the CPUs'
 * areas, the lent frames and the trampoline's page, and nothing else of the
 * kernel (layout: hal/src/door.rs). How deep they are and what an entry looks
 * like is the architecture's (arch.h).
 */
#include <linux/io.h>
#include <linux/mm.h>

#include "mercury.h"

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
	u64 *table;

	if (tables->next == tables->end)
		return NULL;
	*frame = tables->next++;
	table = mercury_frame(tables->lent, *frame);
	mercury_clear(table);
	return table;
}

int mercury_tables_begin(struct mercury_tables *tables, struct mercury_lent *lent,
			 unsigned int first, unsigned int count)
{
	unsigned int frame;

	tables->lent = lent;
	tables->next = first;
	tables->end = first + count;
	tables->levels = mercury_levels();
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
			table = phys_to_virt(*entry & MERCURY_ENTRY_ADDRESS);
			continue;
		}
		table = new_table(tables, &frame);
		if (!table)
			return NULL;
		*entry = mercury_table_entry(virt_to_phys(table));
	}
	if (leaf_frame)
		*leaf_frame = frame;
	return table;
}

int mercury_tables_map(struct mercury_tables *tables, u64 virtual, u64 physical, unsigned int flags)
{
	u64 *table = leaf_table(tables, virtual, NULL);
	u64 *entry;

	if (!table)
		return -ENOSPC;
	entry = &table[virtual >> 12 & 511];
	/* The shared page lies where it lies: never on top of something else. */
	if (*entry)
		return -EADDRINUSE;
	*entry = mercury_leaf_entry(physical, flags & MERCURY_MAP_WRITE, flags & MERCURY_MAP_EXECUTE);
	return 0;
}

int mercury_tables_leaf(struct mercury_tables *tables, u64 virtual, unsigned int *frame)
{
	return leaf_table(tables, virtual, frame) ? 0 : -ENOSPC;
}
