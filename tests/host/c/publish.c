/* SPDX-License-Identifier: GPL-2.0 */
/* arm64/publish.h with a name that a linker sees. The rest is src/publish.rs. */
#include "publish.h"

void shim_publish(const struct mercury_publisher *publisher, void *context, unsigned long start,
		  unsigned long bytes);

void shim_publish(const struct mercury_publisher *publisher, void *context, unsigned long start,
		  unsigned long bytes)
{
	mercury_publish_with(publisher, context, start, bytes);
}
