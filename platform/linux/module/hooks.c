// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to an attached machine: CPUs come and go, it sleeps, it goes
 * down, or nobody says that all is well.
 *
 * Hot-plug: a CPU on its way down is let go first, so that it leaves and comes
 * back natively (INIT and SIPI are the machine's own); a CPU that has come up
 * is taken in. Between coming up and being taken in it runs natively for a
 * moment. Taking it in may fail, and by then nobody can stop it from being
 * online: the machine is *mixed*, status says so and why, and it is tried
 * again.
 *
 * An image that has died takes nobody in any more, whoever comes up, comes back
 * from sleep or tries again: `mercury detach` takes its memory back, and the next
 * attach brings another one.
 *
 * Sleep: detach before the machine sleeps, keep the memory, attach afterwards.
 * Reboot, power-off and ordinary kexec: detach. Where a deep idle state would
 * lose Mercury, none is entered while it is there.
 *
 * Memory that is added: mapped before it goes online, or not let online.
 */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/cpuhotplug.h>
#include <linux/memory.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/pm_qos.h>
#include <linux/reboot.h>
#include <linux/suspend.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#include "mercury.h"

#define RETRY_SECONDS 2
#define RETRIES 5

static enum cpuhp_state hotplug_state;
static DEFINE_PER_CPU(u32, why_native);
static unsigned long rope_end;
static unsigned int rope_seconds;

u32 mercury_hotplug_why(int cpu)
{
	return per_cpu(why_native, cpu);
}

void mercury_why_native(int cpu, u32 event)
{
	per_cpu(why_native, cpu) = event;
}

/* ---- one switch at a time, and no sleep meanwhile ---- */

static atomic_t switching = ATOMIC_INIT(0);

bool mercury_switching_begin(void)
{
	return !atomic_cmpxchg(&switching, 0, 1);
}

void mercury_switching_end(void)
{
	atomic_set_release(&switching, 0);
}

bool mercury_is_switching(void)
{
	return atomic_read_acquire(&switching);
}


unsigned int mercury_no_sleep(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)
	return lock_system_sleep();
#else
	lock_system_sleep();
	return 0;
#endif
}

void mercury_sleep_again(unsigned int flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)
	unlock_system_sleep(flags);
#else
	unlock_system_sleep();
#endif
}

/* ---- hot-plug ---- */

static unsigned int retries_left;
static void retry(struct work_struct *work);
static DECLARE_DELAYED_WORK(retry_work, retry);

/* On the CPU itself. */
static bool take_in(int cpu)
{
	u64 error = mercury_is_guest() ? 0 : mercury_machine.dead ? MERCURY_ERROR_DIED :
		    mercury_fits() ? mercury_enter_here() : MERCURY_ERROR_UNSUPPORTED;

	if (error) {
		per_cpu(why_native, cpu) = MERCURY_EVENT_HOTPLUG_FAILED;
		mercury_note(MERCURY_EVENT_HOTPLUG_FAILED, MERCURY_ERROR, cpu, error, 0, 0, 0);
		return false;
	}
	per_cpu(why_native, cpu) = 0;
	mercury_note(MERCURY_EVENT_HOTPLUG_ATTACHED, MERCURY_INFORMATION, cpu, 0, 0, 0, 0);
	return true;
}

static void try_again_soon(void)
{
	/* It stays dead. */
	if (mercury_machine.dead)
		return;
	retries_left = RETRIES;
	schedule_delayed_work(&retry_work, RETRY_SECONDS * HZ);
}

static int cpu_up_callback(unsigned int cpu)
{
	if (mercury_machine.stage == MERCURY_STAGE_ATTACHED && !take_in(cpu))
		try_again_soon();
	return 0;
}

static int cpu_down_callback(unsigned int cpu)
{
	u64 status;

	if (mercury_machine.stage != MERCURY_STAGE_ATTACHED || mercury_inject(MERCURY_POINT_STAY, cpu))
		return 0;
	status = mercury_leave_here();
	/* A guest that was not let go must not go offline. */
	if (mercury_answered(status) && !mercury_succeeded(status))
		return -EIO;
	per_cpu(why_native, cpu) = 0;
	mercury_note(MERCURY_EVENT_HOTPLUG_DETACHED, MERCURY_INFORMATION, cpu, 0, 0, 0, 0);
	return 0;
}

static void retry(struct work_struct *work)
{
	struct mercury_visit *visit = kzalloc(sizeof(*visit), GFP_KERNEL);
	bool again = !visit;
	int cpu;

	if (!mutex_trylock(&mercury_machine.lock)) {
		again = true;
		goto out;
	}
	if (mercury_machine.stage == MERCURY_STAGE_PARKED && !mercury_machine.dead) {
		struct mercury_verdict refusal;

		again = mercury_switch_in(&refusal, false);
	}
	cpus_read_lock();
	for_each_online_cpu(cpu) {
		if (!visit || mercury_machine.dead || mercury_machine.stage != MERCURY_STAGE_ATTACHED || !per_cpu(why_native, cpu))
			continue;
		visit->kind = MERCURY_VISIT_CALL;
		visit->number = MERCURY_CALL_NULL;
		if (!mercury_visit(cpu, visit) && mercury_succeeded(visit->status))
			continue;
		visit->kind = MERCURY_VISIT_DOOR;
		visit->number = MERCURY_OPERATION_ENTER;
		visit->arguments[0] = mercury_inject(MERCURY_POINT_ENTER, cpu) ? MERCURY_INJECT_REFUSE : 0;
		if (mercury_visit(cpu, visit) || visit->status) {
			if (visit->status == MERCURY_ERROR_DIED)
				mercury_drain_log();
			again = !mercury_machine.dead;
			continue;
		}
		per_cpu(why_native, cpu) = 0;
		mercury_note(MERCURY_EVENT_HOTPLUG_ATTACHED, MERCURY_INFORMATION, cpu, 0, 0, 0, 0);
	}
	cpus_read_unlock();
	mutex_unlock(&mercury_machine.lock);
out:
	kfree(visit);
	if (again && retries_left && retries_left--)
		schedule_delayed_work(&retry_work, RETRY_SECONDS * HZ);
}

/* ---- sleep and the end ---- */

/*
 * A callback runs with its chain locked, and a detach that unregisters it waits
 * for the chain with the machine locked. Sleep never meets a switch
 * (lock_system_sleep), and neither does a reboot by system call; for the rest
 * (sysrq, thermal shutdown) the callback gives way after a while.
 */
static bool take_machine(void)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(2 * MERCURY_DEADLINE_MS);

	while (!mutex_trylock(&mercury_machine.lock)) {
		if (time_after(jiffies, deadline))
			return false;
		msleep(1);
	}
	return true;
}

static void leave_for(u64 event)
{
	if (!take_machine()) {
		mercury_note(MERCURY_EVENT_POWER_FAILED, MERCURY_ERROR, -1, event, EBUSY, 0, 0);
		return;
	}
	if (mercury_machine.stage == MERCURY_STAGE_ATTACHED) {
		int error;

		/* Clocks may begin anew in a sleep, and firmware and devices forget. */
		if (mercury_machine.store_frames)
			mercury_give_up();
		error = mercury_switch_out();

		if (error)
			mercury_note(MERCURY_EVENT_POWER_FAILED, MERCURY_ERROR, -1, event, -error, 0, 0);
		else
			mercury_note(MERCURY_EVENT_POWER_DETACH, MERCURY_INFORMATION, -1, event, 0, 0, 0);
	}
	mutex_unlock(&mercury_machine.lock);
}

static void return_after(u64 event)
{
	struct mercury_verdict refusal;

	if (!take_machine()) {
		mercury_note(MERCURY_EVENT_POWER_FAILED, MERCURY_ERROR, -1, event, EBUSY, 0, 0);
		return;
	}
	if (mercury_machine.stage == MERCURY_STAGE_PARKED) {
		int error = mercury_switch_in(&refusal, false);

		if (error)
			mercury_note(MERCURY_EVENT_POWER_FAILED, MERCURY_ERROR, -1, event, -error, 0, 0);
		else
			mercury_note(MERCURY_EVENT_POWER_ATTACH, MERCURY_INFORMATION, -1, event, 0, 0, 0);
	}
	/* What did not come, or was left native by a sleep that was called off. */
	if (mercury_machine.stage != MERCURY_STAGE_NATIVE)
		try_again_soon();
	mutex_unlock(&mercury_machine.lock);
}

static int power_callback(struct notifier_block *block, unsigned long event, void *data)
{
	/* A checkpoint's own: it wants to be beneath. */
	if (mercury_resting())
		return NOTIFY_DONE;
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
		leave_for(event);
		/* A machine that could not be let go must not sleep under us. */
		return mercury_machine.stage == MERCURY_STAGE_ATTACHED ? NOTIFY_BAD : NOTIFY_OK;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
		return_after(event);
		return NOTIFY_OK;
	}
	return NOTIFY_DONE;
}

static int reboot_callback(struct notifier_block *block, unsigned long event, void *data)
{
	leave_for(event);
	return NOTIFY_DONE;
}

static struct notifier_block power_block = { .notifier_call = power_callback };
static struct notifier_block reboot_block = { .notifier_call = reboot_callback, .priority = INT_MAX };

/* ---- idle ---- */

/*
 * Where an idle state may lose what the image put into the CPU, only those are
 * entered that lose nothing: none of the others answers within no time.
 */
static struct pm_qos_request idle_lightly;

static void hold_idle(void)
{
	if (MERCURY_IDLES_LIGHTLY && !cpu_latency_qos_request_active(&idle_lightly))
		cpu_latency_qos_add_request(&idle_lightly, 0);
}

static void let_idle(void)
{
	if (cpu_latency_qos_request_active(&idle_lightly))
		cpu_latency_qos_remove_request(&idle_lightly);
}

/* ---- memory ---- */

/*
 * A kernel whose own memory faults in the nested map dies of it, and whether
 * frames for its tables are left only the image knows. So each leaf is mapped
 * here, while the kernel can still be told no. The lock of the machine is not
 * taken: whoever holds it may wait for this chain. On this CPU, with its IRQs
 * off, the answer is true whatever the others do. A CPU that is native knows
 * nothing of the map: in the middle of a switch, and on a mixed machine,
 * memory waits.
 */
static int memory_callback(struct notifier_block *block, unsigned long event, void *data)
{
	const struct memory_notify *what = data;
	u64 at = PFN_PHYS(what->start_pfn), end = at + PFN_PHYS(what->nr_pages);

	if (event != MEM_GOING_ONLINE)
		return NOTIFY_DONE;
	while (at < end) {
		struct mercury_visit visit = {
			.kind = MERCURY_VISIT_CALL, .number = MERCURY_CALL_COVER, .arguments = { at },
		};

		mercury_visit_here(&visit);
		if (!mercury_succeeded(visit.status)) {
			int error = mercury_answered(visit.status) ? ENOMEM : EBUSY;

			mercury_note(MERCURY_EVENT_MEMORY_REFUSED, MERCURY_WARNING, -1, at, error, 0, 0);
			return notifier_from_errno(-error);
		}
		at = max_t(u64, visit.words[0], at + PAGE_SIZE);
	}
	return NOTIFY_OK;
}

static struct notifier_block memory_block = { .notifier_call = memory_callback };

/* ---- setting and clearing ---- */

int mercury_hooks_set(void)
{
	int error, cpu;

	/* Nothing is left of an earlier attach, unless a test leaked it. */
	mercury_hooks_clear();
	for_each_possible_cpu(cpu)
		per_cpu(why_native, cpu) = 0;
	hold_idle();
	error = mercury_inject(MERCURY_POINT_HOOKS, -1) ? -ENOSPC :
		cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "mercury:online", cpu_up_callback,
					  cpu_down_callback);
	if (error < 0)
		goto fail;
	hotplug_state = error;
	mercury_machine.hotplug_states = 1;
	error = mercury_inject(MERCURY_POINT_HOOKS, -1) ? -ENOSPC : register_pm_notifier(&power_block);
	if (error)
		goto fail;
	mercury_machine.notifiers++;
	error = mercury_inject(MERCURY_POINT_HOOKS, -1) ? -ENOSPC : register_reboot_notifier(&reboot_block);
	if (error)
		goto fail;
	mercury_machine.notifiers++;
	error = mercury_inject(MERCURY_POINT_HOOKS, -1) ? -ENOSPC : register_memory_notifier(&memory_block);
	if (error)
		goto fail;
	mercury_machine.notifiers++;
	return 0;
fail:
	mercury_hooks_clear();
	return error;
}

void mercury_hooks_clear(void)
{
	if (mercury_machine.notifiers == 3)
		unregister_memory_notifier(&memory_block);
	if (mercury_machine.notifiers >= 2)
		unregister_reboot_notifier(&reboot_block);
	if (mercury_machine.notifiers)
		unregister_pm_notifier(&power_block);
	mercury_machine.notifiers = 0;
	if (mercury_machine.hotplug_states)
		cpuhp_remove_state_nocalls(hotplug_state);
	mercury_machine.hotplug_states = 0;
	let_idle();
	cancel_delayed_work(&retry_work);
}

/* ---- the rope ---- */

static void pull(struct work_struct *work);
static DECLARE_DELAYED_WORK(rope, pull);

static void pull(struct work_struct *work)
{
	struct mercury_verdict refusal;
	unsigned int sleep;

	/* A switch under way, or one that failed: later. */
	if (!mercury_switching_begin()) {
		mod_delayed_work(system_wq, &rope, HZ);
		return;
	}
	sleep = mercury_no_sleep();
	mutex_lock(&mercury_machine.lock);
	if (rope_seconds && !time_before(jiffies, rope_end) && mercury_machine.stage != MERCURY_STAGE_NATIVE) {
		mercury_note(MERCURY_EVENT_ROPE_PULLED, MERCURY_WARNING, -1, rope_seconds, 0, 0, 0);
		if (mercury_detach(&refusal))
			mod_delayed_work(system_wq, &rope, RETRY_SECONDS * HZ);
		else
			rope_seconds = 0;
	}
	mutex_unlock(&mercury_machine.lock);
	mercury_sleep_again(sleep);
	mercury_switching_end();
}

void mercury_rope_set(unsigned int seconds)
{
	rope_seconds = seconds;
	rope_end = jiffies + (unsigned long)seconds * HZ;
	if (seconds)
		mod_delayed_work(system_wq, &rope, (unsigned long)seconds * HZ);
}

bool mercury_rope_cancel(void)
{
	bool had = rope_seconds;

	rope_seconds = 0;
	cancel_delayed_work(&rope);
	return had;
}

unsigned int mercury_rope_left(void)
{
	if (!rope_seconds || mercury_machine.stage == MERCURY_STAGE_NATIVE)
		return 0;
	return time_before(jiffies, rope_end) ? DIV_ROUND_UP(rope_end - jiffies, HZ) : 1;
}

void mercury_hooks_exit(void)
{
	cancel_delayed_work_sync(&rope);
	cancel_delayed_work_sync(&retry_work);
}
