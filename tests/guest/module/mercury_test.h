/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of mercury_test.ko say to each other.
 *
 * The module is the tests' hand inside the kernel: it reads registers that
 * user space cannot read, executes instructions that user space must not, and
 * watches Mercury's door from both sides. It judges nothing: it answers with
 * text, and the judge (tests/guest/src) decides.
 *
 * No symbol of mercury.ko is linked against: the two modules load in any
 * order, and the module's own checks run on a machine without Mercury too.
 */
#ifndef MERCURY_TEST_H
#define MERCURY_TEST_H

#include <linux/types.h>

struct file;
struct vm_area_struct;

/* An answer under construction: some pages of text, cut where they are full. */
struct answer {
	char *text;
	size_t size;
	size_t used;
};

__printf(2, 3) void answer_add(struct answer *answer, const char *format, ...);

/* Runs `work` on one CPU with interrupts off. */
int on_cpu(int cpu, void (*work)(void *), void *data);

/* A command; `run` gets the words after its name. */
struct command {
	const char *name;
	int (*run)(const char *words, struct answer *answer);
};

int command_observer(const char *words, struct answer *answer);
void observer_stop(void);
int command_dma(const char *words, struct answer *answer);
int command_cost(const char *words, struct answer *answer);
int command_crash(const char *words, struct answer *answer);

/* ---- each architecture's ---- */

/* Ends with one that has no name. */
extern const struct command arch_commands[];

/* Undone at unload. */
void arch_stop(void);

/* Maps a physical page into the caller, the offset being its address. */
int arch_mmap(struct file *file, struct vm_area_struct *area);

#endif
