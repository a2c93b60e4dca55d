// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mercury and the module's life.
 *
 * CAP_SYS_ADMIN and CAP_SYS_RAWIO are asked for at open and again at each
 * request: a descriptor that was handed on gives nobody more than he has.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/cpu.h>
#include <linux/io.h>

#include "mercury.h"
#include "request.h"
#include "image_hash.h"

#define MERCURY_VERSION "0.1.0"
#define MAX_ENTRIES 8192u
/* Frames of a store: 64 GiB. */
#define MERCURY_MOST_STORE (64ull << (30 - PAGE_SHIFT))

extern const u8 mercury_image_sha256[32];

static bool privileged(void)
{
	return capable(CAP_SYS_ADMIN) && capable(CAP_SYS_RAWIO);
}

static void refuse(struct mercury_verdict *refusal, u32 requirement, int error, const char *detail)
{
	mercury_verdict_set(refusal, requirement, -1, error, 0, detail);
}

/*
 * Takes the machine for a switch, or says that another one is under way. Sleep
 * is held off first: its callbacks want the machine's lock.
 */
static int take(struct mercury_verdict *refusal, unsigned int *sleep)
{
	if (!mercury_switching_begin()) {
		refuse(refusal, MERCURY_REQUIREMENT_IDLE, EBUSY, "another switch is under way");
		return -EBUSY;
	}
	*sleep = mercury_no_sleep();
	mutex_lock(&mercury_machine.lock);
	return 0;
}

static void give(unsigned int sleep)
{
	mutex_unlock(&mercury_machine.lock);
	mercury_sleep_again(sleep);
	mercury_switching_end();
}

static int do_info(struct mercury_info *info)
{
	memset(info, 0, sizeof(*info));
	info->abi = MERCURY_ABI_VERSION;
	info->testing = MERCURY_IS_TESTING;
	strscpy(info->architecture, MERCURY_ARCHITECTURE, sizeof(info->architecture));
	strscpy(info->backend, mercury_backend(), sizeof(info->backend));
	strscpy(info->image_name, MERCURY_IMAGE_NAME, sizeof(info->image_name));
	memcpy(info->image_sha256, mercury_image_sha256, sizeof(info->image_sha256));
	strscpy(info->version, MERCURY_VERSION, sizeof(info->version));
	info->tsc_khz = mercury_ticks_khz();
	return 0;
}

static int do_check(struct mercury_check *check)
{
	unsigned int capacity = min(check->capacity, MAX_ENTRIES);
	struct mercury_verdict *verdicts = kvcalloc(capacity ?: 1, sizeof(*verdicts), GFP_KERNEL);
	int error = 0;

	if (!verdicts)
		return -ENOMEM;
	if (mercury_is_switching()) {
		check->count = check->failed = 1;
		refuse(verdicts, MERCURY_REQUIREMENT_IDLE, EBUSY, "another switch is under way");
	} else {
		mutex_lock(&mercury_machine.lock);
		check->count = mercury_check(verdicts, capacity, &check->failed);
		mutex_unlock(&mercury_machine.lock);
	}
	if (copy_to_user(u64_to_user_ptr(check->verdicts), verdicts,
			 min(check->count, capacity) * sizeof(*verdicts)))
		error = -EFAULT;
	kvfree(verdicts);
	return error;
}

static int do_attach(struct mercury_attach *attach)
{
	struct mercury_verdict *refusal = &attach->refusal;
	unsigned int sleep;
	int error;

	if (attach->flags & ~MERCURY_ATTACH_DRY_RUN || attach->reserved || attach->rope_seconds > 86400 * 365)
		return -EINVAL;
	error = take(refusal, &sleep);
	if (error)
		return error;
	mercury_inject_reset();
	error = mercury_attach(attach->flags, refusal);
	if (error) {
		mercury_machine.refusals++;
		mercury_note(MERCURY_EVENT_ATTACH_REFUSED, MERCURY_ERROR, -1, refusal->requirement,
			     (s64)refusal->cpu, refusal->error, refusal->read);
	} else if (!(attach->flags & MERCURY_ATTACH_DRY_RUN)) {
		mercury_rope_set(attach->rope_seconds);
	}
	give(sleep);
	return error;
}

static int do_detach(struct mercury_request *request)
{
	unsigned int sleep;
	int error = take(&request->refusal, &sleep);

	if (error)
		return error;
	error = mercury_detach(&request->refusal);
	if (!error)
		mercury_rope_cancel();
	give(sleep);
	return error;
}

static int do_keep(struct mercury_request *request)
{
	unsigned int sleep;
	int error = take(&request->refusal, &sleep);

	if (error)
		return error;
	if (mercury_machine.stage == MERCURY_STAGE_NATIVE) {
		refuse(&request->refusal, MERCURY_REQUIREMENT_ATTACHED, ENOTCONN, "nothing to keep");
		error = -ENOTCONN;
	} else if (mercury_rope_cancel()) {
		mercury_note(MERCURY_EVENT_KEPT, MERCURY_INFORMATION, -1, 0, 0, 0, 0);
	}
	give(sleep);
	return error;
}

static int do_status(struct mercury_status *status)
{
	unsigned int capacity = min(status->cpu_capacity, MAX_ENTRIES);
	u64 target = status->cpus;
	struct mercury_cpu_status *cpus = kvcalloc(capacity ?: 1, sizeof(*cpus), GFP_KERNEL);
	int error;

	if (!cpus)
		return -ENOMEM;
	memset(status, 0, sizeof(*status));
	if (mercury_is_switching()) {
		status->abi = MERCURY_ABI_VERSION;
		status->state = MERCURY_STATE_SWITCHING;
		status->cpus_possible = num_possible_cpus();
		status->cpus_online = num_online_cpus();
		error = 0;
	} else {
		mutex_lock(&mercury_machine.lock);
		error = mercury_status_fill(status, cpus, capacity);
		mutex_unlock(&mercury_machine.lock);
	}
	status->cpu_capacity = capacity;
	status->cpus = target;
	if (!error && copy_to_user(u64_to_user_ptr(target), cpus, status->cpu_count * sizeof(*cpus)))
		error = -EFAULT;
	kvfree(cpus);
	return error;
}

static int do_frames(struct mercury_frames *frames)
{
	struct mercury_lent *lent = &mercury_machine.lent;
	struct mercury_frame_range range;
	unsigned int block, left;
	int error = 0;

	mutex_lock(&mercury_machine.lock);
	left = lent->frames;
	frames->count = 0;
	for (block = 0; block < lent->block_count && left && !error; block++) {
		range.start = virt_to_phys(lent->blocks[block].memory);
		range.pages = min(lent->blocks[block].pages, left);
		left -= range.pages;
		if (frames->count < frames->capacity &&
		    copy_to_user(u64_to_user_ptr(frames->ranges) + frames->count * sizeof(range), &range,
				 sizeof(range)))
			error = -EFAULT;
		frames->count++;
	}
	mutex_unlock(&mercury_machine.lock);
	return error;
}

static int do_log(struct mercury_log *log)
{
	unsigned int capacity = min(log->capacity, MAX_ENTRIES);
	struct mercury_record *records = kvcalloc(capacity ?: 1, sizeof(*records), GFP_KERNEL);
	int error = 0;

	if (!records)
		return -ENOMEM;
	/* A switch under way drains the image's log itself. */
	if (!mercury_is_switching()) {
		mutex_lock(&mercury_machine.lock);
		mercury_drain_log();
		mutex_unlock(&mercury_machine.lock);
	}
	log->count = mercury_log_copy(&log->from, records, capacity);
	if (copy_to_user(u64_to_user_ptr(log->records), records, log->count * sizeof(*records)))
		error = -EFAULT;
	kvfree(records);
	return error;
}

static int do_samples(struct mercury_samples *request)
{
	unsigned int capacity = min(request->capacity, MAX_ENTRIES);
	struct mercury_sample *samples = kvcalloc(capacity ?: 1, sizeof(*samples), GFP_KERNEL);
	int error = 0;

	if (!samples)
		return -ENOMEM;
	request->count = mercury_samples_copy(&request->from, samples, capacity);
	if (copy_to_user(u64_to_user_ptr(request->samples), samples, request->count * sizeof(*samples)))
		error = -EFAULT;
	kvfree(samples);
	return error;
}

/* A visit for one request that names a CPU. The machine's lock is held. */
static int visit_cpu(u32 cpu, struct mercury_visit *visit)
{
	int error = -EINVAL;

	cpus_read_lock();
	if (cpu < nr_cpu_ids && cpu_online(cpu) && *mercury_backend())
		error = mercury_visit(cpu, visit);
	cpus_read_unlock();
	return error;
}

static int do_prove(struct mercury_proof *proof)
{
	struct mercury_visit *visit = kzalloc(sizeof(*visit), GFP_KERNEL);
	void *pages = NULL;
	int error;

	if (!visit)
		return -ENOMEM;
	visit->kind = MERCURY_VISIT_PROOF;
	visit->proof.abi = MERCURY_ABI_VERSION;
	visit->proof.cpu = proof->cpu;
	visit->proof.plain = 0x706c61696e000000 | proof->cpu;
	visit->proof.other = 0x6f74686572000000 | proof->cpu;
	if (mercury_is_switching()) {
		kfree(visit);
		return -EBUSY;
	}
	mutex_lock(&mercury_machine.lock);
	/* A native machine has no proof pages: the same steps on two others. */
	if (!mercury_machine.lent.proof)
		mercury_machine.lent.proof = pages = alloc_pages_exact(2 * PAGE_SIZE, GFP_KERNEL);
	error = mercury_machine.lent.proof ? visit_cpu(proof->cpu, visit) : -ENOMEM;
	if (pages) {
		mercury_machine.lent.proof = NULL;
		free_pages_exact(pages, 2 * PAGE_SIZE);
	}
	mutex_unlock(&mercury_machine.lock);
	*proof = visit->proof;
	kfree(visit);
	return error;
}

static int do_null_calls(struct mercury_null_calls *calls)
{
	struct mercury_visit *visit;
	unsigned int left;
	int error = 0;

	visit = kzalloc(sizeof(*visit), GFP_KERNEL);
	if (!visit)
		return -ENOMEM;
	visit->kind = MERCURY_VISIT_NULL_CALLS;
	calls->ticks = 0;
	mutex_lock(&mercury_machine.lock);
	/* In batches: IRQs are off during each. */
	for (left = calls->count; left && !error; left -= visit->arguments[0]) {
		visit->arguments[0] = min(left, 1000u);
		error = visit_cpu(calls->cpu, visit);
		calls->answered = mercury_succeeded(visit->status);
		calls->ticks += visit->end - visit->begin;
	}
	mutex_unlock(&mercury_machine.lock);
	kfree(visit);
	return error;
}

static int do_trace(struct file *file, const struct mercury_trace *trace)
{
	if (trace->exits > 1)
		return -EINVAL;
	mutex_lock(&mercury_machine.lock);
	mercury_trace_want(file, trace->exits);
	mutex_unlock(&mercury_machine.lock);
	return 0;
}

/* ---- checkpoints ---- */

static void guard_status(struct mercury_guard *guard)
{
	u64 words[MERCURY_CALL_WORDS] = {};

	mercury_guard_words(words);
	guard->store_bytes = (u64)mercury_machine.store_frames * PAGE_SIZE;
	guard->checkpoints = words[0];
	guard->rolled_back = words[1];
	guard->kept_pages = words[2];
	guard->room_pages = words[3];
	guard->changed_pages = words[4];
	guard->needed_bytes = mercury_store_needed() * PAGE_SIZE;
}

/* Takes Mercury away if need be, and puts it back with a store of so many frames. */
static int attach_with(u64 frames, struct mercury_verdict *refusal)
{
	bool was = mercury_machine.stage == MERCURY_STAGE_ATTACHED;
	int error = was ? mercury_detach(refusal) : 0;

	if (error)
		return error;
	mercury_machine.store_frames = frames;
	error = mercury_attach(0, refusal);
	if (!error && frames && mercury_guard_begin()) {
		struct mercury_verdict ignored;

		refuse(refusal, MERCURY_REQUIREMENT_MEMORY, ENOMEM, "room for the kernel's log");
		error = -ENOMEM;
		mercury_detach(&ignored);
	}
	if (error) {
		struct mercury_verdict ignored;

		mercury_machine.store_frames = 0;
		if (was && mercury_machine.stage == MERCURY_STAGE_NATIVE)
			mercury_attach(0, &ignored);
	}
	return error;
}

static int do_guard(struct mercury_guard *guard)
{
	u64 frames = guard->store_bytes / PAGE_SIZE;
	unsigned int sleep;
	int error = 0;

	if (guard->action > MERCURY_GUARD_GIVE_UP || frames > MERCURY_MOST_STORE)
		return -EINVAL;
	error = take(&guard->refusal, &sleep);
	if (error)
		return error;
	switch (guard->action) {
	case MERCURY_GUARD_ON:
		frames = frames ?: mercury_store_needed();
		/* Rather than to drive everything else out of memory, and fail. */
		if (frames > si_mem_available()) {
			mercury_verdict_set(&guard->refusal, MERCURY_REQUIREMENT_MEMORY, -1, ENOMEM, frames * PAGE_SIZE,
					    "bytes of a store, more than the kernel has to spare");
			error = -ENOMEM;
			break;
		}
		mercury_machine.crash_loop_ticks = mercury_crash_loop_ticks(guard->crash_loop_milliseconds);
		error = attach_with(frames, &guard->refusal);
		break;
	case MERCURY_GUARD_OFF:
		if (mercury_machine.store_frames)
			error = attach_with(0, &guard->refusal);
		break;
	case MERCURY_GUARD_GIVE_UP:
		mercury_give_up();
		break;
	}
	guard_status(guard);
	give(sleep);
	return error;
}

/*
 * The machine's lock is not held while it comes to rest: whoever waited for it could
 * not be frozen. That a switch is under way keeps all others out.
 */
static int do_checkpoint(struct mercury_checkpoint *checkpoint)
{
	int error;

	if (checkpoint->flags)
		return -EINVAL;
	if (!mercury_switching_begin()) {
		refuse(&checkpoint->refusal, MERCURY_REQUIREMENT_IDLE, EBUSY, "another switch is under way");
		return -EBUSY;
	}
	error = mercury_checkpoint(checkpoint);
	mercury_switching_end();
	return error;
}

static int do_rollback(struct mercury_request *request)
{
	unsigned int sleep;
	int error;

	if (request->flags)
		return -EINVAL;
	error = take(&request->refusal, &sleep);
	if (error)
		return error;
	error = mercury_rollback(&request->refusal);
	give(sleep);
	return error;
}

static int do_retell(const struct mercury_retell *retell)
{
	u64 words[MERCURY_CALL_WORDS];
	u32 done;
	int error = 0;

	if (retell->from % MERCURY_CALL_WORDS || retell->capacity % MERCURY_CALL_WORDS ||
	    retell->capacity > MAX_ENTRIES)
		return -EINVAL;
	if (mercury_is_switching())
		return -EBUSY;
	mutex_lock(&mercury_machine.lock);
	for (done = 0; done < retell->capacity && !error; done += MERCURY_CALL_WORDS) {
		error = mercury_retell(retell->from + done, words);
		if (!error && copy_to_user(u64_to_user_ptr(retell->words) + done * sizeof(u64), words,
					   sizeof(words)))
			error = -EFAULT;
	}
	mutex_unlock(&mercury_machine.lock);
	return error;
}

static int dispatch(struct file *file, unsigned int command, union mercury_any_request *request)
{
	switch (command) {
	case MERCURY_IOC_INFO: return do_info(&request->info);
	case MERCURY_IOC_CHECK: return do_check(&request->check);
	case MERCURY_IOC_ATTACH: return do_attach(&request->attach);
	case MERCURY_IOC_DETACH: return do_detach(&request->request);
	case MERCURY_IOC_KEEP: return do_keep(&request->request);
	case MERCURY_IOC_STATUS: return do_status(&request->status);
	case MERCURY_IOC_FRAMES: return do_frames(&request->frames);
	case MERCURY_IOC_LOG: return do_log(&request->log);
	case MERCURY_IOC_SAMPLES: return do_samples(&request->samples);
	case MERCURY_IOC_PROVE: return do_prove(&request->proof);
	case MERCURY_IOC_NULL_CALLS: return do_null_calls(&request->null_calls);
	case MERCURY_IOC_GUARD: return do_guard(&request->guard);
	case MERCURY_IOC_CHECKPOINT: return do_checkpoint(&request->checkpoint);
	case MERCURY_IOC_ROLLBACK: return do_rollback(&request->request);
	case MERCURY_IOC_RETELL: return do_retell(&request->retell);
	case MERCURY_IOC_TRACE: return do_trace(file, &request->trace);
	}
	return -ENOTTY;
}

static long control(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *user = (void __user *)argument;
	size_t size = _IOC_SIZE(command);
	union mercury_any_request *request;
	long error;

	if (!privileged())
		return -EPERM;
	if (!mercury_request_fits(command, sizeof(*request)))
		return -ENOTTY;
	request = kzalloc(sizeof(*request), GFP_KERNEL);
	if (!request)
		return -ENOMEM;
	if (copy_from_user(request, user, size))
		error = -EFAULT;
	else
		error = -mercury_request_refused(command, request);
	if (!error)
		error = dispatch(file, command, request);
	if (error != -EFAULT && copy_to_user(user, request, size))
		error = -EFAULT;
	kfree(request);
	/* A signal that nobody handles, or that says so, starts it again. */
	return error == -EINTR && signal_pending(current) ? -ERESTARTSYS : error;
}

static int open(struct inode *inode, struct file *file)
{
	return privileged() ? 0 : -EPERM;
}

static int release(struct inode *inode, struct file *file)
{
	mercury_trace_forget(file);
	return 0;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = open,
	.release = release,
	.unlocked_ioctl = control,
	.llseek = noop_llseek,
};

struct miscdevice mercury_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mercury",
	.fops = &operations,
	.mode = 0600,
};

static int __init start(void)
{
	int error;

	mercury_backend_choose();
	error = mercury_report_init();

	if (error)
		return error;
	error = misc_register(&mercury_device);
	if (error)
		mercury_report_exit();
	else
		mercury_image_init();
	return error;
}

static void nothing(void *info)
{
}

/* Not reached while attached: that pins the module. */
static void __exit stop(void)
{
	misc_deregister(&mercury_device);
	mercury_hooks_exit();
	mercury_image_exit();
	/* A visit that was called off may still be queued: it arrives before this. */
	on_each_cpu(nothing, NULL, 1);
	mercury_report_exit();
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Mercury: a hypervisor beneath the running kernel, and away again");
MODULE_VERSION(MERCURY_VERSION);
MODULE_FIRMWARE(MERCURY_IMAGE_NAME);
