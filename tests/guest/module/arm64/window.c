// SPDX-License-Identifier: GPL-2.0
/*
 * A physical page in the caller's address space: RAM as the kernel has it,
 * everything else as device memory. Faults there are signals, which the caller
 * catches (tests/guest/src/window.rs).
 */
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/mm.h>

#include "mercury_test.h"

int arch_mmap(struct file *file, struct vm_area_struct *area)
{
	unsigned long bytes = area->vm_end - area->vm_start;

	if (bytes != PAGE_SIZE)
		return -EINVAL;
	if (pfn_valid(area->vm_pgoff))
		/* Executable, which a file of procfs may not ask for. */
		area->vm_page_prot = __pgprot(pgprot_val(area->vm_page_prot) & ~PTE_UXN);
	else
		area->vm_page_prot = pgprot_noncached(area->vm_page_prot);
	return remap_pfn_range(area, area->vm_start, area->vm_pgoff, bytes, area->vm_page_prot);
}
