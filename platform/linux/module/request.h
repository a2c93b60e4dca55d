/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an ioctl must be before anything is done for it: its number says what
 * comes with it, its first word says of which version that is. No kernel header
 * is used but the ABI's: tests/fuzz compiles this file.
 */
#ifndef MERCURY_REQUEST_H
#define MERCURY_REQUEST_H

#include "mercury_abi.h"

#define MERCURY_NULL_CALLS_MOST 100000

/* Everything that a caller may bring. */
union mercury_any_request {
	__u32 abi;
	struct mercury_info info;
	struct mercury_check check;
	struct mercury_attach attach;
	struct mercury_request request;
	struct mercury_status status;
	struct mercury_frames frames;
	struct mercury_log log;
	struct mercury_samples samples;
	struct mercury_proof proof;
	struct mercury_null_calls null_calls;
	struct mercury_trace trace;
	struct mercury_guard guard;
	struct mercury_checkpoint checkpoint;
	struct mercury_retell retell;
};

/* Whether as many bytes as the number names fit into `most`, and are enough to
 * tell a version by. */
static inline int mercury_request_fits(unsigned int command, __u64 most)
{
#ifdef MERCURY_PLANTED_REQUEST_SIZE
	if (_IOC_SIZE(command) == most + 1)
		most++;
#endif
	return _IOC_TYPE(command) == 'm' && _IOC_SIZE(command) >= sizeof(__u32) &&
	       _IOC_SIZE(command) <= most;
}

/* Why a request that fits is refused all the same: a positive errno, or 0.
 * Unknown numbers are found out by whoever knows them all (main.c). */
static inline int mercury_request_refused(unsigned int command,
					  const union mercury_any_request *request)
{
	enum { MERCURY_EINVAL = 22, MERCURY_EPROTO = 71 };	/* asm-generic/errno*.h */

	/* This one tells which version there is. */
	if (command == MERCURY_IOC_INFO)
		return 0;
	if (request->abi != MERCURY_ABI_VERSION)
		return MERCURY_EPROTO;
	if (command == MERCURY_IOC_NULL_CALLS &&
	    (request->null_calls.count < 1 ||
	     request->null_calls.count > MERCURY_NULL_CALLS_MOST))
		return MERCURY_EINVAL;
	return 0;
}

#endif
