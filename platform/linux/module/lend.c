// SPDX-License-Identifier: GPL-2.0
/*
 * Frames lent by the kernel.
 *
 * As few and large blocks as the kernel can spare without effort, because every
 * 2 MiB in which a frame of ours lies costs the nested map one table; but
 * nothing above order 3 is required. Frames are numbered through all blocks.
 * What they hold is anything: whoever uses one clears it (mercury_clear). The
 * kernel would clear a whole power of two, most of it for nothing.
 * Two more pages lie behind the last block: the proof pages, which stay the
 * module's and are in a region that the nested map has in 4-KiB pages anyway.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "mercury.h"

#define PROOF_PAGES 2

static void *lend_block(unsigned int pages)
{
	gfp_t flags = GFP_KERNEL | __GFP_NOWARN;

	if (mercury_inject(MERCURY_POINT_ALLOC, -1))
		return NULL;
	if (get_order(pages * PAGE_SIZE) > 3) {
		if (mercury_inject(MERCURY_POINT_LARGE, -1))
			return NULL;
		flags |= __GFP_NORETRY;
	}
	return alloc_pages_exact(pages * PAGE_SIZE, flags);
}

int mercury_lend(struct mercury_lent *lent, unsigned int frames)
{
	unsigned int left = frames + PROOF_PAGES, size = left;

	memset(lent, 0, sizeof(*lent));
	while (left) {
		void *memory;

		/* The proof pages are not torn apart. */
		if (left < size)
			size = left;
		if (left - size == 1)
			size = size > 1 ? size - 1 : 2;
		if (lent->block_count == MERCURY_MAX_BLOCKS)
			goto fail;
		memory = lend_block(size);
		if (!memory) {
			if (size <= PROOF_PAGES)
				goto fail;
			size = max(size / 2, (unsigned int)PROOF_PAGES);
			continue;
		}
		lent->blocks[lent->block_count].memory = memory;
		lent->blocks[lent->block_count].pages = size;
		lent->block_count++;
		lent->largest_order = max_t(unsigned int, lent->largest_order, get_order(size * PAGE_SIZE));
		left -= size;
	}
	/* The last two pages are the module's own. */
	lent->frames = frames;
	lent->proof = lent->blocks[lent->block_count - 1].memory +
		      (lent->blocks[lent->block_count - 1].pages - PROOF_PAGES) * PAGE_SIZE;
	return 0;
fail:
	mercury_give_back(lent);
	return -ENOMEM;
}

void mercury_give_back(struct mercury_lent *lent)
{
	unsigned int block;

	for (block = 0; block < lent->block_count; block++)
		free_pages_exact(lent->blocks[block].memory, lent->blocks[block].pages * PAGE_SIZE);
	memset(lent, 0, sizeof(*lent));
}

void *mercury_frame(const struct mercury_lent *lent, unsigned int number)
{
	unsigned int block;

	if (WARN_ON_ONCE(number >= lent->frames))
		return NULL;
	for (block = 0; number >= lent->blocks[block].pages; block++)
		number -= lent->blocks[block].pages;
	return lent->blocks[block].memory + number * PAGE_SIZE;
}
