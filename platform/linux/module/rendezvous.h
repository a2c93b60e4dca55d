/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who may touch a visit, and when (visit.c): one word between whoever sends a CPU
 * a visit and the CPU that it comes to.
 *
 *	IDLE -> SENT -> RUNNING -> DONE (-> SENT ...)
 *	        SENT -> CALLED_OFF -> IDLE
 *
 * The visitor owns the visit in IDLE and DONE, the CPU in RUNNING. In SENT either
 * may take it, by one compare-and-exchange: the CPU begins, or the visitor calls
 * it off. What was called off belongs to nobody until the late CPU has been there.
 *
 * No kernel header is used: mercury_word and what is done with it are the kernel's
 * atomic_t, or in host tests a model checker's (tests/host, `interleavings`).
 */
#ifndef MERCURY_RENDEZVOUS_H
#define MERCURY_RENDEZVOUS_H

#ifdef __KERNEL__
#include <linux/atomic.h>

typedef atomic_t mercury_word;
#define mercury_word_load(word) atomic_read_acquire(word)
#define mercury_word_store(word, value) atomic_set_release(word, value)
#define mercury_word_exchange(word, old, new) atomic_cmpxchg(word, old, new)
#endif

enum mercury_rendezvous {
	MERCURY_VISIT_IDLE,
	MERCURY_VISIT_SENT,
	MERCURY_VISIT_RUNNING,
	MERCURY_VISIT_DONE,
	MERCURY_VISIT_CALLED_OFF,
};

/* The visitor: whether the visit is its own, or still awaits a late CPU. */
static inline int mercury_visit_is_free(mercury_word *state)
{
	return mercury_word_load(state) != MERCURY_VISIT_CALLED_OFF;
}

/* The visitor: the visit is written. */
static inline void mercury_visit_send(mercury_word *state)
{
	mercury_word_store(state, MERCURY_VISIT_SENT);
}

/* The visitor: nobody was called after all. */
static inline void mercury_visit_withdraw(mercury_word *state)
{
	mercury_word_store(state, MERCURY_VISIT_IDLE);
}

/* The visitor: whether the CPU is done, and the visit its own again. */
static inline int mercury_visit_is_done(mercury_word *state)
{
	return mercury_word_load(state) == MERCURY_VISIT_DONE;
}

/* The visitor, who has waited long enough: whether that was in time. */
static inline int mercury_visit_call_off(mercury_word *state)
{
	return mercury_word_exchange(state, MERCURY_VISIT_SENT, MERCURY_VISIT_CALLED_OFF) ==
	       MERCURY_VISIT_SENT;
}

/* The CPU, which has come: whether the visit is its own. */
static inline int mercury_visit_begin(mercury_word *state)
{
	if (mercury_word_exchange(state, MERCURY_VISIT_SENT, MERCURY_VISIT_RUNNING) ==
	    MERCURY_VISIT_SENT)
		return 1;
#ifdef MERCURY_PLANTED_LATE_CPU
	return 1;
#else
	mercury_word_exchange(state, MERCURY_VISIT_CALLED_OFF, MERCURY_VISIT_IDLE);
	return 0;
#endif
}

/* The CPU: it is the visitor's again. */
static inline void mercury_visit_end(mercury_word *state)
{
	mercury_word_store(state, MERCURY_VISIT_DONE);
}

#endif
