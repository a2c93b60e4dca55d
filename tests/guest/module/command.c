// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/mercury_test: write a command, read its answer from the same open file.
 *
 *   observer on|off|report	watch every switch of mercury.ko
 *   observer take CPU		x86: set EFER.SVME there after Mercury's probe; -1: no more
 *   state CPU			registers that belong to the CPU
 *   hole CPU ADDRESS STORE	touch one of Mercury's frames in a given way
 *   instruction CPU NAME ...	an instruction of the virtualization extension, what it did
 *   dma legal | rogue ADDRESS	QEMU's edu device, by the DMA API and to a physical address
 *   crash CPU			a panic there, inside the timer's interrupt (crash.c)
 *   cost KIND COUNT		what so many of a kind take, in ticks (cost.c)
 *   hostile CPU SEED COUNT FAULTS	so many acts of a kernel that means harm (hostile.c)
 *
 * x86 (x86/instructions.c, nmi.c, touch.c):
 *   msr read CPU NUMBER | msr write CPU NUMBER VALUE
 *   nmi on|off|report		count NMIs, CPU by CPU
 *   nmi burst NUMBER		so many to each CPU; sent and seen, and each one's moment
 *   nmi others FROM		others than those on the first CPU: how many, and when from that on
 *   touch CPU ADDRESS read|write	a physical address that is nobody's; CPU -1: all at once
 *
 * ARM64 (arm64/el2.c, window.c):
 *   el2 CPU			registers of EL2, read there by way of Linux's stub
 *   el2-write CPU NAME VALUE	one of them, where the machine can go on with it
 *   mmap			the physical page at the offset, to be touched in user mode
 *
 * Answers are lines of `name value` pairs, so that a shell can read them:
 *   exec 3<>/proc/mercury_test; echo state 0 >&3; cat <&3
 */
#include <linux/cpu.h>
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "mercury_test.h"

#define FILE_NAME "mercury_test"
#define LONGEST_COMMAND 128

/* One command at a time: some of them own pages or registers. */
static DEFINE_MUTEX(one_at_a_time);

void answer_add(struct answer *answer, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	answer->used += vscnprintf(answer->text + answer->used,
				   answer->size - answer->used, format, arguments);
	va_end(arguments);
}

int on_cpu(int cpu, void (*work)(void *), void *data)
{
	int error = -ENXIO;

	if (cpu < 0 || cpu >= nr_cpu_ids)
		return -EINVAL;
	cpus_read_lock();
	if (cpu_online(cpu))
		error = smp_call_function_single(cpu, work, data, 1);
	cpus_read_unlock();
	return error;
}

static int open(struct inode *inode, struct file *file)
{
	struct answer *answer = kzalloc(sizeof(*answer), GFP_KERNEL);

	if (!answer)
		return -ENOMEM;
	answer->size = 4 * PAGE_SIZE;
	answer->text = kvzalloc(answer->size, GFP_KERNEL);
	if (!answer->text) {
		kfree(answer);
		return -ENOMEM;
	}
	file->private_data = answer;
	return 0;
}

static int release(struct inode *inode, struct file *file)
{
	struct answer *answer = file->private_data;

	kvfree(answer->text);
	kfree(answer);
	return 0;
}

static int run(const char *line, struct answer *answer)
{
	static const struct command common[] = {
		{ "observer ", command_observer },
		{ "dma ", command_dma },
		{ "cost ", command_cost },
		{ "crash ", command_crash },
		{ },
	};
	const struct command *const lists[] = { common, arch_commands };
	const struct command *command;
	unsigned int list;

	for (list = 0; list < ARRAY_SIZE(lists); list++)
		for (command = lists[list]; command->name; command++)
			if (!strncmp(line, command->name, strlen(command->name)))
				return command->run(line + strlen(command->name), answer);
	return -EINVAL;
}

static ssize_t write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	struct answer *answer = file->private_data;
	char text[LONGEST_COMMAND];
	char *line;
	int error;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = 0;
	line = strim(text);

	error = mutex_lock_interruptible(&one_at_a_time);
	if (error)
		return error;
	/* The answer is read from its start, whatever was read before. */
	answer->used = 0;
	*at = 0;
	error = run(line, answer);
	mutex_unlock(&one_at_a_time);
	return error ? error : count;
}

static ssize_t read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	struct answer *answer = file->private_data;

	return simple_read_from_buffer(to, count, at, answer->text, answer->used);
}

static const struct proc_ops operations = {
	.proc_open = open,
	.proc_read = read,
	.proc_write = write,
	.proc_release = release,
	.proc_lseek = noop_llseek,
	.proc_mmap = arch_mmap,
};

static int __init start(void)
{
	return proc_create(FILE_NAME, 0600, NULL, &operations) ? 0 : -ENOMEM;
}

static void __exit stop(void)
{
	remove_proc_entry(FILE_NAME, NULL);
	observer_stop();
	arch_stop();
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("The hand of Mercury's tests inside the kernel");
