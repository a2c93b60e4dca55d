/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The registers that are looked at, by name; which they are, says the
 * architecture's registers.h.
 *
 * CPU state belongs to the CPU and is the same whichever task runs; it must be
 * the same before the first attach and after the last detach. Task state
 * belongs to whoever runs, so it can only be compared within one section with
 * interrupts off.
 */
#ifndef MERCURY_TEST_STATE_H
#define MERCURY_TEST_STATE_H

#include <linux/types.h>

#include "registers.h"

#define AS_INDEX_CPU(name, ...) CPU_##name,
#define AS_INDEX_TASK(name, ...) TASK_##name,
enum { CPU_REGISTERS(AS_INDEX_CPU) CPU_COUNT };
enum { TASK_REGISTERS(AS_INDEX_TASK) TASK_COUNT };

struct cpu_state { u64 value[CPU_COUNT]; };
struct task_state { u64 value[TASK_COUNT]; };
struct vectors { u8 byte[VECTORS][VECTOR_BYTES]; };

extern const char *const cpu_register_names[CPU_COUNT];
extern const char *const task_register_names[TASK_COUNT];

/* All want interrupts off. */
void read_cpu_state(struct cpu_state *state);
void read_task_state(struct task_state *state);
void read_vectors(struct vectors *vectors);

/* Puts registers back; those that no instruction can put back are left. */
void write_cpu_state(const struct cpu_state *state);
void write_task_state(const struct task_state *state);
void write_vectors(const struct vectors *vectors);

#endif
