// SPDX-License-Identifier: GPL-2.0
/*
 * A bus master that does what it is told: QEMU's `edu` device copies between
 * memory and a buffer of its own, at whatever address it is given. With an
 * address from the DMA API it is a well-behaved device; with a physical one it
 * is a rogue, and whether it gets through is up to an IOMMU.
 *
 * Its registers (QEMU, docs/specs/edu): 0x80 source, 0x88 destination, 0x90
 * count, 0x98 command: 1 start, 2 from the buffer to memory; the buffer is at
 * 0x40000.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/pci.h>
#include <linux/string.h>

#include "mercury_test.h"

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8
#define EDU_BUFFER 0x40000
#define PATTERN 0x6d65726375727921ull
#define WORDS 8

enum direction { TO_DEVICE = 0, TO_MEMORY = 2 };

struct master {
	struct pci_dev *device;
	void __iomem *registers;
	u64 *page;
	dma_addr_t address;
};

static int copy(struct master *master, enum direction direction, u64 memory)
{
	unsigned int turn;

	writeq(direction == TO_DEVICE ? memory : EDU_BUFFER, master->registers + 0x80);
	writeq(direction == TO_DEVICE ? EDU_BUFFER : memory, master->registers + 0x88);
	writeq(WORDS * sizeof(u64), master->registers + 0x90);
	writeq(direction | 1, master->registers + 0x98);
	for (turn = 0; turn < 200; turn++) {
		msleep(20);
		if (!(readl(master->registers + 0x98) & 1))
			return 0;
	}
	return -ETIMEDOUT;
}

/* The legal way: by a page that the DMA API knows. */
static int fill_buffer(struct master *master, u64 word)
{
	unsigned int index;

	for (index = 0; index < WORDS; index++)
		master->page[index] = word;
	return copy(master, TO_DEVICE, master->address);
}

static int read_buffer(struct master *master, bool *pattern)
{
	unsigned int index;
	int error;

	memset(master->page, 0, PAGE_SIZE);
	error = copy(master, TO_MEMORY, master->address);
	*pattern = true;
	for (index = 0; index < WORDS; index++)
		*pattern &= READ_ONCE(master->page[index]) == PATTERN;
	return error;
}

/*
 * A driver, for only a device with one is put behind the IOMMU on every
 * architecture. It holds the one device that it finds.
 */
static struct master bound;

static int probe(struct pci_dev *device, const struct pci_device_id *id)
{
	int error;

	if (bound.device)
		return -EBUSY;
	error = pcim_enable_device(device);
	if (error)
		return error;
	pci_set_master(device);
	error = dma_set_mask_and_coherent(&device->dev, DMA_BIT_MASK(64));
	if (error)
		return error;
	bound.registers = pcim_iomap(device, 0, 0);
	bound.page = dmam_alloc_coherent(&device->dev, PAGE_SIZE, &bound.address, GFP_KERNEL);
	if (!bound.registers || !bound.page)
		return -ENOMEM;
	bound.device = device;
	return 0;
}

static void remove(struct pci_dev *device)
{
	pci_clear_master(device);
	bound.device = NULL;
}

static const struct pci_device_id edu[] = {
	{ PCI_DEVICE(EDU_VENDOR, EDU_DEVICE) },
	{ },
};

static struct pci_driver driver = {
	.name = "mercury_test_edu",
	.id_table = edu,
	.probe = probe,
	.remove = remove,
};

/* Whether what went out by the DMA API comes back by it. */
static int legal(struct master *master, struct answer *answer)
{
	bool works;
	int error = fill_buffer(master, PATTERN);

	if (!error)
		error = read_buffer(master, &works);
	if (!error)
		answer_add(answer, "works %d\n", works);
	return error;
}

/*
 * A pattern to a physical address, and back from it: the CPU cannot look, for
 * it may be a guest to which that page is a hole.
 */
static int rogue(struct master *master, u64 address, struct answer *answer)
{
	bool arrived = false;
	int error = fill_buffer(master, PATTERN);

	if (!error)
		error = copy(master, TO_MEMORY, address);
	if (!error)
		error = fill_buffer(master, 0);
	if (!error)
		error = copy(master, TO_DEVICE, address);
	if (!error)
		error = read_buffer(master, &arrived);
	if (!error)
		answer_add(answer, "arrived %d\n", arrived);
	return error;
}

int command_dma(const char *words, struct answer *answer)
{
	unsigned long long address;
	int error = pci_register_driver(&driver);

	if (error)
		return error;
	if (!bound.device)
		error = -ENODEV;
	else if (!strcmp(words, "legal"))
		error = legal(&bound, answer);
	else if (sscanf(words, "rogue %llx", &address) == 1)
		error = rogue(&bound, address, answer);
	else
		error = -EINVAL;
	pci_unregister_driver(&driver);
	return error;
}
