// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/mercury_test: write a command, read its answer from the same open file.
 *
 *   state CPU			registers that belong to the CPU
 *   observer on|off|report	watch every switch of mercury.ko
 *   observer take CPU		set EFER.SVME there after Mercury's probe; -1: no more
 *   hole CPU ADDRESS STORE	touch one of Mercury's frames in a given way
 *   instruction CPU NAME [RAX]	a virtualization instruction, and what it raised
 *   msr read CPU NUMBER | msr write CPU NUMBER VALUE
 *   nmi on|off|report		count NMIs, CPU by CPU
 *   touch CPU ADDRESS read|write	a physical address that is nobody's; CPU -1: all at once
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

static const struct {
	const char *name;
	int (*run)(const char *words, struct answer *answer);
} commands[] = {
	{ "state ", command_state },
	{ "observer ", command_observer },
	{ "hole ", command_hole },
	{ "instruction ", command_instruction },
	{ "msr ", command_msr },
	{ "nmi ", command_nmi },
	{ "touch ", command_touch },
};

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

static ssize_t write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	struct answer *answer = file->private_data;
	char text[LONGEST_COMMAND];
	char *line;
	int index, error = -EINVAL;

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
	error = -EINVAL;
	for (index = 0; index < ARRAY_SIZE(commands); index++) {
		size_t length = strlen(commands[index].name);

		if (!strncmp(line, commands[index].name, length)) {
			error = commands[index].run(line + length, answer);
			break;
		}
	}
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
};

static int __init start(void)
{
	return proc_create(FILE_NAME, 0600, NULL, &operations) ? 0 : -ENOMEM;
}

static void __exit stop(void)
{
	remove_proc_entry(FILE_NAME, NULL);
	observer_stop();
	nmi_stop();
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("The hand of Mercury's tests inside the kernel");
