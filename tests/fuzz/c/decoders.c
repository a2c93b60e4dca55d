// SPDX-License-Identifier: GPL-2.0
/*
 * The module's decoders, made callable: each copies what it is given to where
 * it is aligned as in the kernel, and no further than it may be read.
 */
#include <linux/types.h>
#include <string.h>

/* GCC calls this by a name that libFuzzer has given to an empty function. */
__asm__("__sanitizer_cov_trace_pc = mercury_fuzz_place");

#include "image_header.h"
#include "request.h"

int fuzz_image(const unsigned char *bytes, __u64 size)
{
	struct mercury_image_header header;

	memset(&header, 0, sizeof(header));
	memcpy(&header, bytes, size < sizeof(header) ? size : sizeof(header));
	return mercury_image_examine(&header, size, "x86_64", MERCURY_IMAGE_BASE);
}

/* -1: does not fit; else what it is refused with. */
int fuzz_request(unsigned int command, const unsigned char *bytes, __u64 size)
{
	union mercury_any_request request;

	if (!mercury_request_fits(command, sizeof(request)))
		return -1;
	memset(&request, 0, sizeof(request));
	memcpy(&request, bytes, size < _IOC_SIZE(command) ? size : _IOC_SIZE(command));
	return mercury_request_refused(command, &request);
}

unsigned int fuzz_request_largest(void) { return sizeof(union mercury_any_request); }
